import { WeftError } from '../../errors.js';
import type { EventOverlap, RecvHook } from './event.js';
import type { Exchanges } from './exchanges.js';
import { checkFinish, type FinishOptions, finish } from './finish.js';
import { factsOf, type LowLatencyFacts, type LowLatencyHandle } from './low-latency-handle.js';
import { checkFlag, checkShape, checkVector, elements, type NdArray } from './nd-array.js';
import { checkSameRouting, type TopkIdx } from './routing.js';
import { addWaits, countingLate } from './wait-stats.js';

export interface LowLatencyCombineOptions extends FinishOptions {
  /** Not offered: WEFT_UNAVAILABLE. */
  useLogfmt?: boolean;
  /** The outputs were written to `getNextLowLatencyCombineBuffer(handle)`, and `x` is not looked at. Default false. */
  zeroCopy?: boolean;
  /** bf16 [tokens, hidden], any memory: the result is copied there. */
  out?: NdArray<Uint16Array>;
  /** [ranks] nanoseconds that each rank's reply was waited for are added to it. */
  combineWaitRecvCostStats?: BigInt64Array;
}

export interface LowLatencyCombined {
  /** bf16 [tokens, hidden]: `out`, or memory that is the caller's until four more dispatches of this kind. */
  combinedX: NdArray<Uint16Array>;
  event: EventOverlap;
  hook: RecvHook | null;
}

export async function lowLatencyCombine(
  exchanges: Exchanges,
  x: NdArray<Uint16Array>,
  topkIdx: NdArray<TopkIdx>,
  topkWeights: NdArray<Float32Array>,
  handle: LowLatencyHandle,
  options: LowLatencyCombineOptions,
): Promise<LowLatencyCombined> {
  exchanges.checkOpen();
  const facts = factsOf(handle, exchanges, 'combine');
  const { round, routing, sizes } = facts;
  const { tokens, topK } = routing;
  checkOptions(options, exchanges.ranks, [tokens, sizes.hidden]);
  checkSameRouting(topkIdx, routing);
  checkShape('topkWeights', topkWeights, [tokens, topK], [Float32Array], 'combine');
  const { zeroCopy = false, out, combineWaitRecvCostStats: costs } = options;
  if (!zeroCopy) checkShape('x', x, [sizes.experts, sizes.room, sizes.hidden], [Uint16Array], 'combine');

  round.reply((batch) => {
    if (!zeroCopy) copyRows(x.data, batch.counts, combineBuffer(facts).data, sizes);
    batch.reply();
  });
  const result = round.exchange.tensorOf(round.generation, 'result');
  const shape = [tokens, sizes.hidden];
  const combined = result.data.subarray(0, elements(shape)) as Uint16Array;
  const weights = topkWeights.data.slice();
  const { event, hook } = await finish(
    options,
    async (wait) => {
      const waits = await countingLate(costs, () => round.combine(result, { ...wait, weights }));
      addWaits(costs, waits.entries());
      out?.data.set(combined);
    },
    () => round.combineAgain(),
  );
  return { combinedX: out ?? { data: combined, shape }, event, hook };
}

/** Where the reply of a round is made. */
export function combineBuffer({ round, sizes }: LowLatencyFacts): NdArray<Uint16Array> {
  const { output } = round.open;
  const shape = [sizes.experts, sizes.room, sizes.hidden];
  // The batch shows it up to the last row; there is room for all.
  return { data: new Uint16Array(output.buffer, output.byteOffset, elements(shape)), shape };
}

function copyRows(
  from: Uint16Array,
  counts: Uint32Array,
  to: Uint16Array,
  { room, hidden }: LowLatencyFacts['sizes'],
): void {
  for (let e = 0; e < counts.length; e++) {
    const begin = e * room * hidden;
    to.set(from.subarray(begin, begin + counts[e]! * hidden), begin);
  }
}

function checkOptions(options: LowLatencyCombineOptions, ranks: number, shape: number[]): void {
  const phase = 'combine';
  const { useLogfmt = false, zeroCopy = false, out, combineWaitRecvCostStats: costs } = options;
  for (const [name, flag] of Object.entries({ useLogfmt, zeroCopy })) checkFlag(name, flag, phase);
  if (useLogfmt)
    throw new WeftError('WEFT_UNAVAILABLE', 'useLogfmt is not offered: combine sends bf16', {
      phase,
      details: { argument: 'useLogfmt' },
    });
  checkFinish(options, phase);
  if (out !== undefined) checkShape('out', out, shape, [Uint16Array], phase);
  if (costs !== undefined) checkVector('combineWaitRecvCostStats', costs, ranks, BigInt64Array, phase);
}
