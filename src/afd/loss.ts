import { invalidArgument } from '../errors.js';
import type { ResolvedLayout } from './layout.js';

/**
 * What becomes of a round when an FFN rank is gone. 'error': combining it throws. 'skip': the rank's contributions are
 * zero. 'renormalise': that, and the weights of the other choices of a row are scaled so that they sum to what all did
 * (layouts with experts that are routed or combined 'weighted'). 'reroute': when the round is dispatched, choices of the
 * experts of ranks that are gone go to replicas on others, where there are any; when a rank goes later, as 'error'.
 */
export type OnPeerLoss = 'error' | 'skip' | 'renormalise' | 'reroute';

const POLICIES: readonly OnPeerLoss[] = ['error', 'skip', 'renormalise', 'reroute'];

export function checkOnPeerLoss(policy: unknown, layout: ResolvedLayout): OnPeerLoss {
  if (!POLICIES.includes(policy as OnPeerLoss))
    throw invalidArgument('onPeerLoss', policy, `one of '${POLICIES.join("', '")}'`);
  const weighs = layout.experts !== undefined && (layout.mode === 'routed' || layout.combine === 'weighted');
  if (policy === 'renormalise' && !weighs)
    throw invalidArgument(
      'onPeerLoss',
      policy,
      "'error' or 'skip' here: only rounds of experts that are routed or 'weighted' have weights to scale",
    );
  return policy as OnPeerLoss;
}

/** native/exchange/attention.h, `OnLoss`. */
export function nativeOnLoss(policy: OnPeerLoss): number {
  return policy === 'skip' ? 1 : policy === 'renormalise' ? 2 : 0;
}
