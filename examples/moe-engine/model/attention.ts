/** Causal multi-head attention over per-request KV caches, for a batch of rows of any requests. */
import type { ModelConfig } from './config.js';
import type { KvCache } from './kv-cache.js';
import { addInPlace, dot, matmul, rmsNorm, softmax } from './math.js';
import { Rope } from './rope.js';

/** Row-major fp32. q, k and v are [heads * headDim, hidden], o is [hidden, heads * headDim], norm is [hidden]. */
export interface AttentionWeights {
  readonly norm: Float32Array;
  readonly q: Float32Array;
  readonly k: Float32Array;
  readonly v: Float32Array;
  readonly o: Float32Array;
}

/** Where a row stands. Rows of one request come in ascending position and without gaps from its cache's length. */
export interface Place {
  readonly cache: KvCache;
  readonly position: number;
}

export class Attention {
  readonly #config: ModelConfig;
  readonly #rope: Rope;
  readonly #x: Float32Array;
  readonly #q: Float32Array;
  readonly #k: Float32Array;
  readonly #v: Float32Array;
  readonly #mixed: Float32Array;
  readonly #scores: Float32Array;
  readonly #sum: Float64Array;

  constructor(config: ModelConfig, maxRows: number) {
    const width = config.heads * config.headDim;
    this.#config = config;
    this.#rope = new Rope(config);
    this.#x = new Float32Array(maxRows * config.hidden);
    this.#q = new Float32Array(maxRows * width);
    this.#k = new Float32Array(maxRows * width);
    this.#v = new Float32Array(maxRows * width);
    this.#mixed = new Float32Array(maxRows * width);
    this.#scores = new Float32Array(config.maxContext);
    this.#sum = new Float64Array(config.headDim);
  }

  /** `h += attention(norm(h))` for the rows of `h` [places.length, hidden]; stores their keys and values. */
  run(h: Float32Array, places: readonly Place[], layer: number, weights: AttentionWeights): void {
    const { hidden, heads, headDim, normEpsilon } = this.#config;
    const width = heads * headDim;
    const rows = places.length;
    rmsNorm(this.#x, h, weights.norm, rows, normEpsilon);
    matmul(this.#q, this.#x, weights.q, rows, hidden, width);
    matmul(this.#k, this.#x, weights.k, rows, hidden, width);
    matmul(this.#v, this.#x, weights.v, rows, hidden, width);
    for (const [row, place] of places.entries()) {
      this.#rope.rotate(this.#q, row * width, heads, place.position);
      this.#rope.rotate(this.#k, row * width, heads, place.position);
      place.cache.put(layer, place.position, this.#k, this.#v, row);
      for (let head = 0; head < heads; head++) this.#mix(row, head, place, layer);
    }
    matmul(this.#x, this.#mixed, weights.o, rows, width, hidden);
    addInPlace(h, this.#x, rows * hidden);
  }

  /** One head of one row: softmax of the scores against every position so far, then the weighted sum of values. */
  #mix(row: number, head: number, place: Place, layer: number): void {
    const { headDim } = this.#config;
    const { cache, position } = place;
    const at = row * cache.width + head * headDim;
    const keys = cache.keys(layer);
    const values = cache.values(layer);
    const scale = 1 / Math.sqrt(headDim);
    for (let t = 0; t <= position; t++) {
      this.#scores[t] = dot(this.#q, at, keys, t * cache.width + head * headDim, headDim) * scale;
    }
    softmax(this.#scores, position + 1);
    this.#sum.fill(0);
    for (let t = 0; t <= position; t++) {
      const p = this.#scores[t]!;
      const from = t * cache.width + head * headDim;
      for (let d = 0; d < headDim; d++) this.#sum[d] = this.#sum[d]! + p * values[from + d]!;
    }
    this.#mixed.set(this.#sum, at);
  }
}
