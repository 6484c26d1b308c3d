/** Which FFN rank holds which expert. */
import { expertCount, type ModelConfig, sharedExpert } from './model/config.js';

/**
 * Expert -> FFN rank, contiguous, even by expected work: the shared expert, which every token visits, weighs as much as
 * the routedExperts / topK experts that a token's one visit to a routed expert is spread over.
 */
export function placeExperts(config: ModelConfig, ranks: number): number[] {
  const shared = config.routedExperts / config.topK;
  const total = config.routedExperts + shared;
  return Array.from({ length: expertCount(config) }, (_, expert) => {
    const middle = expert === sharedExpert(config) ? expert + shared / 2 : expert + 0.5;
    return Math.min(Math.floor((middle * ranks) / total), ranks - 1);
  });
}

/** The experts that `placement` gives to `rank`. */
export function expertsOf(placement: readonly number[], rank: number): number[] {
  return placement.flatMap((owner, expert) => (owner === rank ? [expert] : []));
}
