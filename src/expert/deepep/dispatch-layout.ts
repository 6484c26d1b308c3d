import { EventOverlap } from './event.js';
import { checkInteger, type NdArray } from './nd-array.js';
import { routingOf, type TopkIdx } from './routing.js';

export interface DispatchLayout {
  /** [ranks] tokens that go to each, a token with several experts there counted once. */
  numTokensPerRank: Int32Array;
  /** There are no RDMA ranks apart from ranks. */
  numTokensPerRdmaRank: null;
  /** [experts] tokens that chose each. */
  numTokensPerExpert: Int32Array;
  /** [tokens, ranks] 1 where a token goes to a rank. */
  isTokenInRank: NdArray<Uint8Array>;
  event: EventOverlap;
}

/** What a routing means for ranks and experts; expert e is on rank floor(e / (numExperts / numRanks)). */
export function dispatchLayout(
  topkIdx: NdArray<TopkIdx>,
  numExperts: number,
  numRanks: number,
): DispatchLayout {
  checkInteger('numExperts', numExperts, 1, 2 ** 20, 'dispatch');
  const { experts, tokens, topK } = routingOf(topkIdx, numExperts, numRanks);
  const numTokensPerRank = new Int32Array(numRanks);
  const numTokensPerExpert = new Int32Array(numExperts);
  const isTokenInRank = new Uint8Array(tokens * numRanks);
  const held = numExperts / numRanks;
  for (let i = 0; i < experts.length; i++) {
    const expert = experts[i]!;
    if (expert < 0) continue;
    numTokensPerExpert[expert]!++;
    const rank = Math.floor(expert / held);
    const at = Math.floor(i / topK) * numRanks + rank;
    if (isTokenInRank[at] === 0) numTokensPerRank[rank]!++;
    isTokenInRank[at] = 1;
  }
  return {
    numTokensPerRank,
    numTokensPerRdmaRank: null,
    numTokensPerExpert,
    isTokenInRank: { data: isTokenInRank, shape: [tokens, numRanks] },
    event: new EventOverlap(),
  };
}
