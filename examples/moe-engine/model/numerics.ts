/**
 * bf16 and FP8 e4m3 in plain TypeScript, written from the definition and not from the native library: the one-process
 * reference rounds with this file, so equal tokens mean that two independent implementations agree on every bit.
 */

/** Channels that share one FP8 scale. The last group of a row may be shorter. */
export const FP8_GROUP = 128;
const E4M3_MAX = 448;

const f32 = new Float32Array(1);
const bits = new Uint32Array(f32.buffer);

/** Bits of the bf16 nearest to `x` (taken as fp32), ties to even. NaN stays NaN and becomes quiet. */
export function bf16Bits(x: number): number {
  f32[0] = x;
  const u = bits[0]!;
  if ((u & 0x7fff_ffff) > 0x7f80_0000) return (u >>> 16) | 0x40;
  // Adding half an ulp less one, plus the lowest kept bit, carries exactly when nearest-even rounds up. The sum needs
  // 33 bits at most, which a double holds.
  return Math.floor((u + 0x7fff + ((u >>> 16) & 1)) / 0x1_0000);
}

/** The fp32 value of bf16 bits; exact. */
export function bf16Value(code: number): number {
  bits[0] = (code << 16) >>> 0;
  return f32[0]!;
}

/** Rounds `count` elements of `from` to bf16 bits. Arrays are indexed from 0 on both sides; pass subarrays. */
export function toBf16(from: Float32Array, to: Uint16Array, count: number): void {
  for (let i = 0; i < count; i++) to[i] = bf16Bits(from[i]!);
}

/** Widens `count` bf16 elements to fp32; exact. */
export function fromBf16(from: Uint16Array, to: Float32Array, count: number): void {
  const words = new Uint32Array(to.buffer, to.byteOffset, count);
  for (let i = 0; i < count; i++) words[i] = from[i]! << 16;
}

/**
 * e4m3 (the "fn" kind: no infinity, largest 448, NaN 0x7f) nearest to `x` taken as fp32: ties to even, saturating.
 * The smallest normal is 2^-6 and subnormals step by 2^-9.
 */
export function e4m3Bits(x: number): number {
  f32[0] = x;
  const u = bits[0]!;
  const sign = (u >>> 24) & 0x80;
  if ((u & 0x7fff_ffff) > 0x7f80_0000) return sign | 0x7f;
  const magnitude = Math.abs(f32[0]!);
  if (magnitude >= E4M3_MAX) return sign | 0x7e;
  const exponent = Math.max(((u >>> 23) & 0xff) - 127, -6);
  // Multiples of the step 2^(exponent-3), exact in a double: 8..15 for a normal, 0..7 for a subnormal.
  const steps = magnitude * 2 ** (3 - exponent);
  let whole = Math.floor(steps);
  const rest = steps - whole;
  if (rest > 0.5 || (rest === 0.5 && (whole & 1) === 1)) whole++;
  // Biased exponent minus one (0 for a subnormal) in front of the steps: the implicit 8 and a carry to 16 both fall
  // into the exponent field by addition. Rounding up past 448 saturates.
  return sign | Math.min(((exponent + 6) << 3) + whole, 0x7e);
}

/** fp32 value of every e4m3 code. */
export const E4M3_VALUE: Float32Array = Float32Array.from({ length: 256 }, (_, code) => {
  const exponent = (code >>> 3) & 15;
  const mantissa = code & 7;
  if (exponent === 15 && mantissa === 7) return Number.NaN;
  const magnitude = exponent === 0 ? mantissa * 2 ** -9 : (8 + mantissa) * 2 ** (exponent - 10);
  return code & 0x80 ? -magnitude : magnitude;
});

/** Scales of a row of `hidden` channels. */
export function scalesPerRow(hidden: number): number {
  return Math.ceil(hidden / FP8_GROUP);
}

/**
 * Quantises one row, given as bf16 bits, in groups of 128 channels. Every step is one fp32 operation:
 * `amax = max(1e-4, max|x|)`, `code = e4m3(x * (448 / amax))`, `scale = amax * (1 / 448)`.
 */
export function quantizeRow(row: Uint16Array, codes: Uint8Array, scales: Float32Array): void {
  for (let group = 0; group * FP8_GROUP < row.length; group++) {
    const begin = group * FP8_GROUP;
    const end = Math.min(begin + FP8_GROUP, row.length);
    let amax = Math.fround(1e-4);
    for (let i = begin; i < end; i++) amax = Math.max(amax, Math.abs(bf16Value(row[i]!)));
    const inverse = Math.fround(E4M3_MAX / amax);
    for (let i = begin; i < end; i++) codes[i] = e4m3Bits(Math.fround(bf16Value(row[i]!) * inverse));
    scales[group] = Math.fround(amax * Math.fround(1 / E4M3_MAX));
  }
}

/** What an expert sees of a quantised row: value times scale, rounded to fp32 once. */
export function dequantizeRow(codes: Uint8Array, scales: Float32Array, to: Float32Array): void {
  for (let i = 0; i < codes.length; i++) {
    to[i] = E4M3_VALUE[codes[i]!]! * scales[Math.floor(i / FP8_GROUP)]!;
  }
}
