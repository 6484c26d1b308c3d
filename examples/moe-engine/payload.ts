/** The rows of a dispatch as a receiver finds them: bf16, or FP8 with scales. */
import type { TypedArray } from 'tensorweft';
import { dequantizeRow, fromBf16, scalesPerRow } from './model/numerics.js';

export interface Payload {
  /** [any, hidden]: FP8 codes in a Uint8Array, or bf16 in a Uint16Array. */
  readonly hidden: TypedArray;
  /** Read with FP8 only. */
  readonly scales: Float32Array;
}

/** Widens or dequantises row `row`; `to` is fp32 [hidden]. */
export function readRow(from: Payload, row: number, to: Float32Array): void {
  const payload = from.hidden;
  const begin = row * to.length;
  if (payload instanceof Uint8Array) {
    const width = scalesPerRow(to.length);
    const scales = from.scales.subarray(row * width, (row + 1) * width);
    dequantizeRow(payload.subarray(begin, begin + to.length), scales, to);
  } else {
    fromBf16(payload.subarray(begin, begin + to.length) as Uint16Array, to, to.length);
  }
}
