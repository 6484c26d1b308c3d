import type { ExpertBatch } from '../batch.js';
import type { Fp8Pair, NdArray } from './nd-array.js';
import { columnMajorScales, packedUe8m0, SCALES_IN_WORD } from './scales.js';

/** Sizes of what a rank receives: for each of its `experts` places for `room` rows of `hidden`. */
export interface PackedSizes {
  experts: number;
  ranks: number;
  /** ranks * numMaxDispatchTokensPerRank */
  room: number;
  hidden: number;
}

/** Where the rows of a slot's rounds are unpacked to; used again for every round of the slot. */
export class Packed {
  readonly sizes: PackedSizes;
  readonly srcInfo: NdArray<Int32Array>;
  #bf16: NdArray<Uint16Array> | undefined;
  #fp8: NdArray<Uint8Array> | undefined;
  #scales: NdArray<Float32Array> | undefined;
  #ue8m0: NdArray<Int32Array> | undefined;

  constructor(sizes: PackedSizes) {
    const { experts, room } = sizes;
    this.sizes = sizes;
    this.srcInfo = { data: new Int32Array(experts * room), shape: [experts, room] };
  }

  get bf16(): NdArray<Uint16Array> {
    this.#bf16 ??= { data: new Uint16Array(this.#elements), shape: this.#shape };
    return this.#bf16;
  }

  get fp8(): Fp8Pair {
    return [this.#codes, this.#floats];
  }

  get ue8m0(): Fp8Pair<Int32Array> {
    return [this.#codes, this.#words];
  }

  /** Copies the batch's rows to `x`, one of the above, and notes where they are from. */
  fill(batch: ExpertBatch, x: NdArray<Uint16Array> | Fp8Pair | Fp8Pair<Int32Array>): void {
    const { experts, room } = this.sizes;
    batch.expand('hidden', 'data' in x ? x.data : x[0].data);
    if (!('data' in x)) {
      if (x[1].data instanceof Int32Array) packedUe8m0(batch, this.sizes, x[1].data);
      else columnMajorScales(batch, this.sizes, x[1].data);
    }
    const { token, counts } = batch;
    for (let e = 0; e < experts; e++)
      this.srcInfo.data.set(token.subarray(e * room, e * room + counts[e]!), e * room);
  }

  get #shape(): number[] {
    const { experts, room, hidden } = this.sizes;
    return [experts, room, hidden];
  }

  get #elements(): number {
    const { experts, room, hidden } = this.sizes;
    return experts * room * hidden;
  }

  get #codes(): NdArray<Uint8Array> {
    this.#fp8 ??= { data: new Uint8Array(this.#elements), shape: this.#shape };
    return this.#fp8;
  }

  get #floats(): NdArray<Float32Array> {
    const groups = this.sizes.hidden / 128;
    this.#scales ??= { data: new Float32Array(this.#scalesOf(groups)), ...this.#columns(groups) };
    return this.#scales;
  }

  get #words(): NdArray<Int32Array> {
    const words = this.sizes.hidden / 128 / SCALES_IN_WORD;
    this.#ue8m0 ??= { data: new Int32Array(this.#scalesOf(words)), ...this.#columns(words) };
    return this.#ue8m0;
  }

  #scalesOf(width: number): number {
    return this.sizes.experts * this.sizes.room * width;
  }

  #columns(width: number): { shape: number[]; strides: number[] } {
    const { experts, room } = this.sizes;
    return { shape: [experts, room, width], strides: [width * room, 1, room] };
  }
}
