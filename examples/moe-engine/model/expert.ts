/** One expert: SwiGLU, `down(silu(gate(x)) * up(x))`. */
import { matmul, swiglu } from './math.js';

/** Row-major fp32: gate and up are [inner, hidden], down is [hidden, inner]. */
export interface ExpertWeights {
  readonly gate: Float32Array;
  readonly up: Float32Array;
  readonly down: Float32Array;
}

/** Scratch for up to `maxRows` rows at a time; one per caller, since a call leaves its middle in it. */
export class ExpertMath {
  readonly #hidden: number;
  readonly #inner: number;
  readonly #gate: Float32Array;
  readonly #up: Float32Array;

  constructor(hidden: number, inner: number, maxRows: number) {
    this.#hidden = hidden;
    this.#inner = inner;
    this.#gate = new Float32Array(maxRows * inner);
    this.#up = new Float32Array(maxRows * inner);
  }

  /** `out` and `x` are [rows, hidden] in fp32 and must not overlap. */
  run(out: Float32Array, x: Float32Array, rows: number, weights: ExpertWeights): void {
    matmul(this.#gate, x, weights.gate, rows, this.#hidden, this.#inner);
    matmul(this.#up, x, weights.up, rows, this.#hidden, this.#inner);
    swiglu(this.#gate, this.#up, rows * this.#inner);
    matmul(out, this.#gate, weights.down, rows, this.#inner, this.#hidden);
  }
}
