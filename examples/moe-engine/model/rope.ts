/** Rotary position embedding: channel i and i + headDim/2 of every head turn by position * theta^(-2i/headDim). */
import type { ModelConfig } from './config.js';

export class Rope {
  readonly #half: number;
  readonly #cos: Float32Array;
  readonly #sin: Float32Array;

  constructor(config: Pick<ModelConfig, 'headDim' | 'maxContext' | 'ropeTheta'>) {
    const half = config.headDim / 2;
    this.#half = half;
    this.#cos = new Float32Array(config.maxContext * half);
    this.#sin = new Float32Array(config.maxContext * half);
    for (let position = 0; position < config.maxContext; position++) {
      for (let i = 0; i < half; i++) {
        const angle = position * config.ropeTheta ** (-i / half);
        this.#cos[position * half + i] = Math.cos(angle);
        this.#sin[position * half + i] = Math.sin(angle);
      }
    }
  }

  /** Turns `heads` heads in place, from `x[at]` on, to `position` (below maxContext). */
  rotate(x: Float32Array, at: number, heads: number, position: number): void {
    const half = this.#half;
    const table = position * half;
    for (let head = 0; head < heads; head++) {
      const low = at + head * 2 * half;
      for (let i = 0; i < half; i++) {
        const c = this.#cos[table + i]!;
        const s = this.#sin[table + i]!;
        const a = x[low + i]!;
        const b = x[low + half + i]!;
        x[low + i] = a * c - b * s;
        x[low + half + i] = b * c + a * s;
      }
    }
  }
}
