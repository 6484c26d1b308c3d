import { invalidArgument, WeftError } from '../../errors.js';
import type { EventOverlap, RecvHook } from './event.js';
import type { Exchange } from './exchange.js';
import type { Exchanges, Shape } from './exchanges.js';
import { checkFinish, type FinishOptions, finish } from './finish.js';
import { LowLatencyHandle } from './low-latency-handle.js';
import { checkArray, checkFlag, checkInteger, checkVector, type Fp8Pair, type NdArray } from './nd-array.js';
import { OpenRound } from './open-round.js';
import { Packed } from './packed.js';
import { type Routing, routingOf, type TopkIdx } from './routing.js';
import { addWaits, countingLate } from './wait-stats.js';

export interface LowLatencyDispatchOptions extends FinishOptions {
  /** Rows are cast to FP8, a scale for each 128 channels. Default true. */
  useFp8?: boolean;
  /** Scales are powers of two. Default false. */
  roundScale?: boolean;
  /** Those scales come as their exponents, four in an int32; needs `roundScale`. Default false. */
  useUe8m0?: boolean;
  /** [experts of this rank] rows received are added to it: its load. */
  cumulativeLocalExpertRecvStats?: Int32Array;
  /** [ranks] nanoseconds that each rank's rows were waited for are added to it. */
  dispatchWaitRecvCostStats?: BigInt64Array;
}

type Bf16 = NdArray<Uint16Array>;

/** What rows are received as, by the options. */
export type LowLatencyRows<Options> = Options extends { useFp8: false }
  ? Bf16
  : Options extends { useFp8?: true }
    ? Options extends { useUe8m0: true }
      ? Fp8Pair<Int32Array>
      : Options extends { useUe8m0?: false }
        ? Fp8Pair
        : Fp8Pair | Fp8Pair<Int32Array>
    : Bf16 | Fp8Pair | Fp8Pair<Int32Array>;

export interface LowLatencyDispatched<Rows = Bf16 | Fp8Pair | Fp8Pair<Int32Array>> {
  recvX: Rows;
  /** [experts of this rank] rows of each. */
  recvCount: Int32Array;
  handle: LowLatencyHandle;
  event: EventOverlap;
  hook: RecvHook | null;
}

/** `Packed` by slot of each exchange. */
export type PackedSlots = WeakMap<Exchange, Map<number, Packed>>;

export async function lowLatencyDispatch(
  exchanges: Exchanges,
  slots: PackedSlots,
  x: Bf16,
  topkIdx: NdArray<TopkIdx>,
  maxTokens: number,
  numExperts: number,
  options: LowLatencyDispatchOptions,
): Promise<LowLatencyDispatched> {
  exchanges.checkOpen();
  checkInteger('numMaxDispatchTokensPerRank', maxTokens, 1, 2 ** 20 - 1, 'dispatch');
  checkInteger('numExperts', numExperts, 1, 2 ** 20, 'dispatch');
  const routing = routingOf(topkIdx, numExperts, exchanges.ranks);
  const hidden = checkRows(x, routing, maxTokens);
  const { ranks } = exchanges;
  const sizes = { experts: numExperts / ranks, ranks, room: ranks * maxTokens, hidden };
  checkOptions(options, sizes.experts, ranks, hidden);
  const { useFp8 = true, roundScale = false, useUe8m0 = false, signal } = options;

  const shape: Shape = {
    hidden,
    maxTokens,
    dispatch: { dtype: useFp8 ? 'fp8e4m3' : 'bf16', powerOfTwoScales: useFp8 && roundScale },
    experts: { count: numExperts, topK: routing.topK, packing: 'padded' },
    combine: 'weighted',
  };
  const exchange = await exchanges.of(shape, signal);
  const round = send(exchange, x, routing, useFp8);
  const packed = slotOf(slots, exchange, round.generation, () => new Packed(sizes));
  const recvX = !useFp8 ? packed.bf16 : useUe8m0 ? packed.ue8m0 : packed.fp8;
  const recvCount = new Int32Array(sizes.experts);
  const facts = { exchanges, round, routing, sizes, numExperts, srcInfo: packed.srcInfo };
  const handle = new LowLatencyHandle(facts);

  const { event, hook } = await finish(
    options,
    async (wait) => {
      const { cumulativeLocalExpertRecvStats: loads, dispatchWaitRecvCostStats: costs } = options;
      const batch = await countingLate(costs, () => round.receive(wait));
      packed.fill(batch, recvX);
      handle.fill(batch);
      recvCount.set(batch.counts);
      if (loads !== undefined) for (let e = 0; e < loads.length; e++) loads[e]! += recvCount[e]!;
      addWaits(
        costs,
        batch.parts.map((part) => [part.rank, part.waitedUs]),
      );
    },
    (error) => exchange.break(error),
  );
  return { recvX, recvCount, handle, event, hook };
}

function send(exchange: Exchange, x: Bf16, { experts, tokens }: Routing, useFp8: boolean): OpenRound {
  const slot = exchange.claim(tokens);
  try {
    if (useFp8) slot.quantize(x.data);
    else slot.write(x.data);
    slot.experts.set(experts);
    slot.weights.fill(0, 0, experts.length); // combine gives them
    return new OpenRound(exchange, slot.dispatch());
  } catch (error) {
    slot.abandon();
    throw error;
  }
}

function slotOf(slots: PackedSlots, exchange: Exchange, generation: number, make: () => Packed): Packed {
  const bySlot = slots.get(exchange) ?? new Map<number, Packed>();
  slots.set(exchange, bySlot);
  const slot = generation % exchange.mesh.layout.depth;
  const packed = bySlot.get(slot) ?? make();
  bySlot.set(slot, packed);
  return packed;
}

/** @returns hidden */
function checkRows(x: Bf16, { tokens }: Routing, maxTokens: number): number {
  const [rows, hidden] = checkArray('x', x, 2, [Uint16Array], 'dispatch') as [number, number];
  if (rows !== tokens)
    throw invalidArgument('x.shape', x.shape, `[${tokens}, hidden], a row for each of topkIdx`, {
      phase: 'dispatch',
    });
  if (rows > maxTokens)
    throw new WeftError(
      'WEFT_TOO_MANY_TOKENS',
      `x has ${rows} rows, and numMaxDispatchTokensPerRank is ${maxTokens}`,
      { phase: 'dispatch', details: { argument: 'x', given: rows, allowed: maxTokens } },
    );
  checkInteger('hidden of x', hidden, 1, 2 ** 24, 'dispatch');
  return hidden;
}

function checkOptions(
  options: LowLatencyDispatchOptions,
  experts: number,
  ranks: number,
  hidden: number,
): void {
  const phase = 'dispatch';
  const { useFp8 = true, roundScale = false, useUe8m0 = false } = options;
  for (const [name, flag] of Object.entries({ useFp8, roundScale, useUe8m0 })) checkFlag(name, flag, phase);
  checkFinish(options, phase);
  if (useUe8m0 && !roundScale)
    throw invalidArgument('roundScale', roundScale, 'true where useUe8m0 is true', { phase });
  const groups = useFp8 ? (useUe8m0 ? 512 : 128) : 1;
  if (hidden % groups !== 0)
    throw invalidArgument(
      'hidden of x',
      hidden,
      `a multiple of ${groups} with useFp8${useUe8m0 ? ' and useUe8m0' : ''}`,
      { phase },
    );
  const { cumulativeLocalExpertRecvStats: loads, dispatchWaitRecvCostStats: costs } = options;
  if (loads !== undefined) checkVector('cumulativeLocalExpertRecvStats', loads, experts, Int32Array, phase);
  if (costs !== undefined) checkVector('dispatchWaitRecvCostStats', costs, ranks, BigInt64Array, phase);
}
