/** Keys and values of one request: [layer][position][heads * headDim] in fp32. Lives on the request's attention rank. */
import type { ModelConfig } from './config.js';

export class KvCache {
  readonly capacity: number;
  readonly width: number;
  /** Positions that every layer has; moved on by the owner when a step is through all layers. */
  length = 0;
  readonly #keys: Float32Array[];
  readonly #values: Float32Array[];

  /** `capacity` is in positions: prompt plus everything that may be generated. It never grows. */
  constructor(config: ModelConfig, capacity: number) {
    this.capacity = capacity;
    this.width = config.heads * config.headDim;
    this.#keys = Array.from({ length: config.layers }, () => new Float32Array(capacity * this.width));
    this.#values = Array.from({ length: config.layers }, () => new Float32Array(capacity * this.width));
  }

  keys(layer: number): Float32Array {
    return this.#keys[layer]!;
  }

  values(layer: number): Float32Array {
    return this.#values[layer]!;
  }

  /** Stores one position of one layer from row `row` of `keys` and `values`, both [rows, width]. */
  put(layer: number, position: number, keys: Float32Array, values: Float32Array, row: number): void {
    if (position >= this.capacity) {
      throw new RangeError(`KV cache: position ${position} does not fit ${this.capacity} positions`);
    }
    const from = row * this.width;
    this.keys(layer).set(keys.subarray(from, from + this.width), position * this.width);
    this.values(layer).set(values.subarray(from, from + this.width), position * this.width);
  }
}
