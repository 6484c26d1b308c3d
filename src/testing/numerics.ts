/**
 * The library's number formats once more, as plain loops over single values: the suite's oracle. Slow on purpose, and
 * shares nothing with the native kernels.
 */

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

function bitsOf(value: number): number {
  float[0] = value;
  return bits[0]!;
}

function ofBits(code: number): number {
  bits[0] = code;
  return float[0]!;
}

/** bf16 of a value: nearest, ties to even; a NaN keeps its sign and top bits, and is quiet. */
export function bf16Of(value: number): number {
  const code = bitsOf(value);
  const upper = code >>> 16;
  if (Number.isNaN(value)) return upper | 0x40;
  const lower = code & 0xffff;
  const up = lower > 0x8000 || (lower === 0x8000 && upper % 2 === 1);
  return up ? upper + 1 : upper;
}

/** The value of a bf16. */
export function valueOfBf16(code: number): number {
  return ofBits(code * 0x10000);
}

/** The same of many; plain loops, because `Uint16Array.from` takes ten times as long. */
export function bf16OfAll(values: ArrayLike<number>): Uint16Array {
  const out = new Uint16Array(values.length);
  for (let i = 0; i < out.length; i++) out[i] = bf16Of(values[i]!);
  return out;
}

export function valuesOfBf16(codes: Uint16Array): Float32Array {
  const out = new Float32Array(codes.length);
  for (let i = 0; i < out.length; i++) out[i] = valueOfBf16(codes[i]!);
  return out;
}

/** The value of an FP8 e4m3: sign, 4 bits of exponent with bias 7, 3 of mantissa; no infinity. */
export function valueOfE4m3(code: number): number {
  const exponent = (code >> 3) & 15;
  const mantissa = code & 7;
  const sign = code >= 128 ? -1 : 1;
  if (exponent === 15 && mantissa === 7) return Number.NaN;
  return sign * (exponent === 0 ? mantissa / 512 : (8 + mantissa) * 2 ** (exponent - 10));
}

const magnitudes = Array.from({ length: 127 }, (_, code) => valueOfE4m3(code));

/** e4m3 of a value, found among all of them: nearest, of two equally near the even one, at most 448. */
export function e4m3Of(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 128 : 0;
  const magnitude = Math.min(Math.abs(value), 448);
  let best = 0;
  for (let code = 1; code < magnitudes.length; code++) {
    const distance = Math.abs(magnitudes[code]! - magnitude);
    const least = Math.abs(magnitudes[best]! - magnitude);
    if (distance > least) break;
    if (distance < least || (distance === least && code % 2 === 0)) best = code;
  }
  return sign + best;
}

/** Channels that share a scale. */
export const GROUP = 128;

export interface Fp8Row {
  codes: Uint8Array;
  scales: Float32Array;
}

/** A row of finite values in FP8, group by group, by the formula of the design (section 7), each step in fp32. */
export function quantizeRow(row: Float32Array, powerOfTwo: boolean): Fp8Row {
  const { fround } = Math;
  const codes = new Uint8Array(row.length);
  const scales = new Float32Array(Math.ceil(row.length / GROUP));
  for (let g = 0; g < scales.length; g++) {
    const group = row.subarray(g * GROUP, (g + 1) * GROUP);
    const amax = group.reduce((most, x) => Math.max(most, Math.abs(x)), fround(1e-4));
    let scale = fround(amax * fround(1 / 448));
    let factor = fround(448 / amax);
    if (powerOfTwo) {
      let exponent = -40;
      while (2 ** exponent < scale) exponent++;
      scale = 2 ** exponent;
      factor = 2 ** -exponent;
    }
    scales[g] = scale;
    for (const [i, x] of group.entries()) codes[g * GROUP + i] = e4m3Of(fround(x * factor));
  }
  return { codes, scales };
}

/** The values of an FP8 row, in fp32. */
export function dequantizeRow({ codes, scales }: Fp8Row): Float32Array {
  return Float32Array.from(codes, (code, i) => valueOfE4m3(code) * scales[Math.floor(i / GROUP)]!);
}

/** One summand of a combined row; without a weight it is added as it is. */
export interface Summand {
  row: Uint16Array;
  weight?: number | undefined;
}

/** The summands added in their order in fp32, multiplication and addition each rounded; none give +0. */
export function combineRows(summands: readonly Summand[], hidden: number): Float32Array {
  const out = new Float32Array(hidden);
  for (let c = 0; c < hidden; c++) {
    let sum: number | undefined;
    for (const { row, weight } of summands) {
      const y = valueOfBf16(row[c]!);
      const term = weight === undefined ? y : Math.fround(weight * y);
      sum = sum === undefined ? term : Math.fround(sum + term);
    }
    out[c] = sum ?? 0;
  }
  return out;
}
