import type { WaitOptions } from '../../afd/wait.js';
import { fromBf16 } from '../../tensor/convert.js';
import type { Exchanges, Shape } from './exchanges.js';
import type { NdArray } from './nd-array.js';
import type { DispatchHandle } from './normal-handle.js';
import { OpenRound } from './open-round.js';

/** Weights on their way back to where their rows are from. */
export interface WeightsBack {
  /** [tokens, topK], filled by `combine()`. */
  readonly weights: NdArray<Float32Array>;
  combine(wait: WaitOptions): Promise<void>;
}

/** bf16 pieces that a weight of fp32 is sent in; they add up to it exactly. */
const PIECES = 3;

/**
 * Sends weights, a row for each that was received with the handle, back by an exchange of their own: its rows go the same
 * way with nothing in them, and what is replied, and added up, are the weights in pieces of bf16. Exact for weights of one
 * rank each, as `recvTopkWeights` has them, of at least 2^-100.
 */
export async function sendWeightsBack(
  exchanges: Exchanges,
  { routing, numExperts, numRecvTokens }: DispatchHandle,
  maxTokens: number,
  given: Float32Array,
  wait: WaitOptions,
): Promise<WeightsBack> {
  const { tokens, topK } = routing;
  const shape: Shape = {
    hidden: PIECES * topK,
    maxTokens,
    dispatch: { dtype: 'u8' },
    experts: { count: numExperts, topK },
    combine: 'sum',
  };
  const pieces = split(given.subarray(0, numRecvTokens * topK));
  const exchange = await exchanges.of(shape, wait.signal);
  const slot = exchange.claim(tokens);
  slot.hidden.fill(0);
  slot.experts.set(routing.experts);
  slot.weights.fill(0, 0, tokens * topK);
  const round = new OpenRound(exchange, slot.dispatch());
  await round.receiveOrBreak(wait);
  round.reply((batch) => {
    batch.sums.set(pieces);
    batch.replySums();
  });
  const weights = new Float32Array(tokens * topK);
  return {
    weights: { data: weights, shape: [tokens, topK] },
    combine: async (waiting) => {
      const sums = exchange.tensorOf(round.generation, 'sums', 'f32');
      await round.combine(sums, waiting);
      join(sums.data as Float32Array, weights);
    },
  };
}

/** Each weight's upper 16 bits, those of the rest, and those of the rest of that. */
function split(weights: Float32Array): Uint16Array {
  const pieces = new Uint16Array(weights.length * PIECES);
  const rest = weights.slice();
  const bits = new Uint32Array(rest.buffer);
  const upper = new Uint16Array(rest.length);
  for (let piece = 0; piece < PIECES; piece++) {
    for (let i = 0; i < rest.length; i++) upper[i] = Number.isNaN(rest[i]!) ? 0x7fc0 : bits[i]! >>> 16;
    const taken = fromBf16(upper);
    for (let i = 0; i < rest.length; i++) {
      pieces[i * PIECES + piece] = upper[i]!;
      rest[i] = Number.isFinite(rest[i]!) ? rest[i]! - taken[i]! : 0;
    }
  }
  return pieces;
}

function join(sums: Float32Array, weights: Float32Array): void {
  for (let i = 0; i < weights.length; i++) {
    const at = i * PIECES;
    weights[i] = Math.fround(sums[at]! + sums[at + 1]!) + sums[at + 2]!;
  }
}
