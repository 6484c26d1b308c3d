import type { PeerName } from '../errors.js';
import type { Role } from '../mesh/roster.js';
import type { NativeEndpoint } from '../native.js';
import type { Heap } from '../tensor/heap.js';
import type { ResolvedLayout } from './layout.js';

/** The role of those who dispatch. */
export function sourceRole({ layout }: ExchangeContext): Role {
  return layout.symmetric ? 'ep' : 'attention';
}

/** The role of those who reply. */
export function replierRole({ layout }: ExchangeContext): Role {
  return layout.symmetric ? 'ep' : 'ffn';
}

/** Those who dispatch, as far as `which` says so. */
export function sources(context: ExchangeContext, which: (rank: number) => boolean): PeerName[] {
  const ranks = Array.from({ length: context.attention }, (_, rank) => rank);
  return ranks.filter(which).map((rank) => ({ role: sourceRole(context), rank }));
}

/** What the sides of an exchange share with their mesh. */
export interface ExchangeContext {
  readonly endpoint: NativeEndpoint;
  readonly layout: ResolvedLayout;
  readonly attention: number;
  readonly ffn: number;
  readonly rank: number;
  readonly arena: ArrayBuffer;
  readonly heap: Heap;
  /** Default of every wait. */
  readonly deadlineMs: number;
  readonly nameOf: (member: number) => PeerName;
  /** Why a peer was lost, where its transport knows. */
  readonly lossOf: (peer: PeerName) => string | undefined;
  readonly isClosed: () => boolean;
}
