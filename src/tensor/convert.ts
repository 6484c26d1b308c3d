/** Bulk conversion between number formats, natively. All of it rounds to nearest, ties to even. */
import { invalidArgument, WeftError } from '../errors.js';
import { native } from '../native.js';

/** Channels that share an FP8 scale. */
export const SCALE_GROUP = 128;

/** Scales of a row. */
export function scalesPerRow(hidden: number): number {
  return Math.ceil(hidden / SCALE_GROUP);
}

/** bf16 of fp32 values; NaN stays NaN. `out`: default a new array; a longer one keeps its rest. */
export function toBf16(src: Float32Array, out?: Uint16Array): Uint16Array {
  want('src', src, Float32Array);
  const to = out === undefined ? new Uint16Array(src.length) : out;
  wantRoom(to, src.length, Uint16Array);
  native.narrow(src, to);
  return to;
}

/** fp32 of bf16 values, exact. `out`: as for `toBf16`. */
export function fromBf16(src: Uint16Array, out?: Float32Array): Float32Array {
  want('src', src, Uint16Array);
  const to = out === undefined ? new Float32Array(src.length) : out;
  wantRoom(to, src.length, Float32Array);
  native.widen(src, to);
  return to;
}

/** FP8 rows: [rows, hidden] of e4m3 and [rows, ceil(hidden / 128)] fp32 scales. */
export interface QuantizedRows {
  hidden: Uint8Array;
  scales: Float32Array;
}

/**
 * Quantises rows to FP8 e4m3 per 128 channels: amax = max(1e-4, max|x|), q = e4m3(x * (448 / amax)), scale =
 * amax * (1/448) (the formula of DeepEP's kernel). With `powerOfTwo`, the scale is the next power of two.
 *
 * @param src [rows, hidden] of bf16 or fp32
 */
export function quantize(
  src: Uint16Array | Float32Array,
  hidden: number,
  options: { powerOfTwo?: boolean } = {},
): QuantizedRows {
  want('src', src, Uint16Array, Float32Array);
  const rows = rowsOf(src, hidden);
  const out = { hidden: new Uint8Array(src.length), scales: new Float32Array(rows * scalesPerRow(hidden)) };
  native.quantise(src, out.hidden, out.scales, rows, hidden, options.powerOfTwo ?? false);
  return out;
}

/** e4m3 * scale, rounded once to the type of `out` (default: a new bf16 array). */
export function dequantize<Out extends Uint16Array | Float32Array = Uint16Array>(
  src: QuantizedRows,
  hidden: number,
  out?: Out,
): Out {
  want('src.hidden', src.hidden, Uint8Array);
  want('src.scales', src.scales, Float32Array);
  const rows = rowsOf(src.hidden, hidden);
  const scales = rows * scalesPerRow(hidden);
  if (src.scales.length < scales)
    throw invalidArgument('src.scales', `${src.scales.length} scales`, `at least ${scales} scales`);
  const to = out === undefined ? (new Uint16Array(src.hidden.length) as Out) : out;
  wantRoom(to, src.hidden.length, Uint16Array, Float32Array);
  native.dequantise(src.hidden, src.scales, to, rows, hidden);
  return to;
}

type ArrayKind = typeof Uint8Array | typeof Uint16Array | typeof Float32Array;

function want(name: string, value: unknown, ...kinds: ArrayKind[]): void {
  if (kinds.some((kind) => value instanceof kind)) return;
  const allowed = kinds.map((kind) => kind.name);
  const given = typeof value === 'object' && value !== null ? value.constructor.name : typeof value;
  throw new WeftError('WEFT_DTYPE', `${name} must be a ${allowed.join(' or a ')}, not ${given}`, {
    details: { argument: name, given, allowed },
  });
}

function wantRoom(out: { length: number }, length: number, ...kinds: ArrayKind[]): void {
  want('out', out, ...kinds);
  if (out.length < length)
    throw invalidArgument('out', `${out.length} elements`, `at least ${length} elements long`);
}

function rowsOf(src: { length: number }, hidden: number): number {
  if (!Number.isSafeInteger(hidden) || hidden < 1)
    throw invalidArgument('hidden', hidden, 'an integer of at least 1');
  if (src.length % hidden !== 0)
    throw invalidArgument('src', `${src.length} elements`, `a multiple of hidden (${hidden})`);
  return src.length / hidden;
}
