import type { ResolvedLayout } from '../../afd/layout.js';
import { WeftError } from '../../errors.js';
import type { ExpertBatch } from '../batch.js';
import type { Fp8Pair, NdArray } from './nd-array.js';
import type { NormalRows } from './normal-rows.js';
import type { TopkIdx } from './routing.js';

/** Rows are received as they were given. */
export type ReceivedRows<X extends NormalRows> =
  X extends NdArray<Uint16Array> ? NdArray<Uint16Array> : Fp8Pair;

/** What came, in new memory. `rows` below: what was sent to us, or `numWorstTokens`. */
export interface Received<Rows> {
  /** [rows, hidden] */
  recvX: Rows;
  /** [rows, topK] ids of our experts counted from 0, -1 for those of other ranks; of the type of `topkIdx`. */
  recvTopkIdx: NdArray<TopkIdx> | null;
  /** [rows, topK] 0 where the id is -1. */
  recvTopkWeights: NdArray<Float32Array> | null;
  /** [experts of this rank] rows of each, rounded up to a multiple of `expertAlignment`. */
  numRecvTokensPerExpertList: number[] | null;
}

export interface Wanted {
  /** With a handle: only the rows. */
  cached: boolean;
  weights: boolean;
  /** Ids of 64 bits. */
  wide: boolean;
  expertAlignment: number;
  numWorstTokens: number;
}

export function receivedFrom<X extends NormalRows>(
  batch: ExpertBatch,
  { hidden, dtype, experts }: ResolvedLayout,
  wanted: Wanted,
): Received<ReceivedRows<X>> {
  const { expertAlignment, numWorstTokens, cached } = wanted;
  if (numWorstTokens > 0 && batch.rows > numWorstTokens)
    throw new WeftError(
      'WEFT_TOO_MANY_TOKENS',
      `${batch.rows} rows have come, and numWorstTokens is ${numWorstTokens}`,
      {
        phase: 'collect',
        details: { argument: 'numWorstTokens', given: batch.rows, allowed: numWorstTokens },
      },
    );
  const rows = numWorstTokens || batch.rows;
  const gather = <Data extends Uint8Array | Uint16Array | Float32Array | Int32Array>(
    column: string,
    width: number,
    kind: new (length: number) => Data,
  ): NdArray<Data> => {
    const data = new kind(rows * width);
    batch.gather(column, data);
    return { data, shape: [rows, width] };
  };
  const recvX =
    dtype === 'bf16'
      ? gather('hidden', hidden, Uint16Array)
      : ([gather('hidden', hidden, Uint8Array), gather('scales', hidden / 128, Float32Array)] as const);
  if (cached)
    return {
      recvX: recvX as ReceivedRows<X>,
      recvTopkIdx: null,
      recvTopkWeights: null,
      numRecvTokensPerExpertList: null,
    };
  const { topK } = experts!;
  const ids = gather('experts', topK, Int32Array);
  const weights = wanted.weights ? gather('weights', topK, Float32Array) : null;
  makeLocal(ids.data, weights?.data, batch, batch.rows * topK);
  return {
    recvX: recvX as ReceivedRows<X>,
    recvTopkIdx: wanted.wide ? { data: BigInt64Array.from(ids.data, BigInt), shape: ids.shape } : ids,
    recvTopkWeights: weights,
    numRecvTokensPerExpertList:
      numWorstTokens > 0
        ? []
        : Array.from(batch.counts, (count) => Math.ceil(count / expertAlignment) * expertAlignment),
  };
}

/** The first `filled` ids count from our first expert; others, and those behind, are -1. */
function makeLocal(
  ids: Int32Array,
  weights: Float32Array | undefined,
  { experts }: ExpertBatch,
  filled: number,
): void {
  const first = experts[0]!;
  for (let i = 0; i < filled; i++) {
    const id = ids[i]! - first;
    const ours = id >= 0 && id < experts.length;
    ids[i] = ours ? id : -1;
    if (!ours && weights !== undefined) weights[i] = 0;
  }
  ids.fill(-1, filled);
}
