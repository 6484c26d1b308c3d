/**
 * The mixture of experts of one token in one process, without the library: the same roundings at the same places as the
 * split, done one token at a time. It is what the split engine is compared with.
 */
import type { ModelConfig } from './model/config.js';
import { ExpertMath } from './model/expert.js';
import { bf16Bits, bf16Value, dequantizeRow, fromBf16, quantizeRow, scalesPerRow } from './model/numerics.js';
import type { ExpertTable } from './model/weights.js';

/** The choices of a split that round. `placement` is read only by combine 'sum', whose partial sums depend on it. */
export interface Rounding {
  readonly dispatch: 'bf16' | 'fp8';
  readonly combine: 'weighted' | 'sum';
  readonly mode: 'routed' | 'all';
  readonly placement: readonly number[];
}

export class ReferenceMoe {
  readonly #config: ModelConfig;
  readonly #experts: ExpertTable;
  readonly #rounding: Rounding;
  readonly #math: ExpertMath;
  readonly #x: Float32Array;
  readonly #y: Float32Array;

  constructor(config: ModelConfig, experts: ExpertTable, rounding: Rounding) {
    this.#config = config;
    this.#experts = experts;
    this.#rounding = rounding;
    this.#math = new ExpertMath(config.hidden, config.expertInner, 1);
    this.#x = new Float32Array(config.hidden);
    this.#y = new Float32Array(config.hidden);
  }

  /** `x` is bf16 [hidden]; the result is bf16 values, as fp32 [hidden]. */
  run(layer: number, x: Uint16Array, experts: Int32Array, weights: Float32Array): Float32Array {
    this.#receive(x);
    const outputs = Array.from(experts, (expert) => this.#expert(layer, expert));
    const all = Array.from(experts.keys());
    if (this.#rounding.combine === 'weighted') return this.#weightedSum(outputs, weights, all);

    const partials: Float32Array[] = [];
    for (let rank = 0; rank <= Math.max(...this.#rounding.placement); rank++) {
      const own = all.filter((k) => this.#rounding.placement[experts[k]!] === rank);
      // A rank that holds none of the token's experts takes no part in 'routed' and adds zeros in 'all'.
      if (own.length > 0 || this.#rounding.mode === 'all')
        partials.push(this.#weightedSum(outputs, weights, own));
    }
    return sum(partials);
  }

  /** What the FFN side reads of the payload. */
  #receive(x: Uint16Array): void {
    if (this.#rounding.dispatch === 'bf16') {
      fromBf16(x, this.#x, x.length);
      return;
    }
    const codes = new Uint8Array(x.length);
    const scales = new Float32Array(scalesPerRow(x.length));
    quantizeRow(x, codes, scales);
    dequantizeRow(codes, scales, this.#x);
  }

  #expert(layer: number, expert: number): Float32Array {
    this.#math.run(this.#y, this.#x, 1, this.#experts[layer]!.get(expert)!);
    return this.#y.map(roundBf16);
  }

  /** `bf16(((w0*y0) + w1*y1) + ...)` over the selections `ks`, every operation rounded to fp32; zeros for none. */
  #weightedSum(outputs: Float32Array[], weights: Float32Array, ks: readonly number[]): Float32Array {
    const sum = new Float32Array(this.#config.hidden);
    for (const [n, k] of ks.entries()) {
      const y = outputs[k]!;
      for (let i = 0; i < sum.length; i++) {
        const product = Math.fround(weights[k]! * y[i]!);
        sum[i] = n === 0 ? product : sum[i]! + product;
      }
    }
    return sum.map(roundBf16);
  }
}

/** `bf16((p0 + p1) + ...)` in rank order; one partial sum is taken as it is. */
function sum(partials: readonly Float32Array[]): Float32Array {
  const total = partials[0]!.slice();
  for (const partial of partials.slice(1)) for (let i = 0; i < total.length; i++) total[i]! += partial[i]!;
  return total.map(roundBf16);
}

function roundBf16(x: number): number {
  return bf16Value(bf16Bits(x));
}
