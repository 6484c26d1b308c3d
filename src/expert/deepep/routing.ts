import { invalidArgument } from '../../errors.js';
import { checkArray, type NdArray } from './nd-array.js';

/** Expert ids, -1 for none. */
export type TopkIdx = BigInt64Array | Int32Array;

/** A routing, checked and copied: it is looked at again when its round is combined. */
export interface Routing {
  /** [tokens, topK] */
  readonly experts: Int32Array;
  readonly tokens: number;
  readonly topK: number;
  /** The ids came as 64-bit integers, and go back as such. */
  readonly wide: boolean;
}

export function routingOf(topkIdx: NdArray<TopkIdx>, numExperts: number, numRanks: number): Routing {
  const [tokens, topK] = checkArray('topkIdx', topkIdx, 2, [BigInt64Array, Int32Array], 'dispatch') as [
    number,
    number,
  ];
  if (numExperts % numRanks !== 0)
    throw invalidArgument('numExperts', numExperts, `a multiple of the ranks (${numRanks})`, {
      phase: 'dispatch',
    });
  if (topK < 1 || topK > numExperts)
    throw invalidArgument('topkIdx.shape', topkIdx.shape, `[tokens, 1 to numExperts (${numExperts})]`, {
      phase: 'dispatch',
    });
  const { data } = topkIdx;
  const experts = new Int32Array(data.length);
  for (let i = 0; i < data.length; i++) {
    const id = Number(data[i]);
    if (id < -1 || id >= numExperts)
      throw invalidArgument(
        `topkIdx[${Math.floor(i / topK)}, ${i % topK}]`,
        id,
        `an expert's id, 0 to ${numExperts - 1}, or -1 for none`,
        { phase: 'dispatch' },
      );
    experts[i] = id;
  }
  return { experts, tokens, topK, wide: data instanceof BigInt64Array };
}

/** Throws unless this is the routing that the round was dispatched with. */
export function checkSameRouting(topkIdx: NdArray<TopkIdx>, { experts, tokens, topK }: Routing): void {
  const shape = checkArray('topkIdx', topkIdx, 2, [BigInt64Array, Int32Array], 'combine');
  const same =
    shape[0] === tokens && shape[1] === topK && experts.every((id, i) => Number(topkIdx.data[i]) === id);
  if (!same)
    throw invalidArgument('topkIdx', shape, `what was dispatched, [${tokens}, ${topK}]`, {
      phase: 'combine',
    });
}
