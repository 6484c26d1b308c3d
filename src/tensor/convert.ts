/** Bulk conversion between number formats, natively. All of it rounds to nearest, ties to even. */
import { invalidArgument, WeftError } from '../errors.js';
import { native } from '../native.js';

/** Channels that share an FP8 scale. */
export const SCALE_GROUP = 128;

/** Scales of a row. */
export function scalesPerRow(hidden: number): number {
  return Math.ceil(hidden / SCALE_GROUP);
}

/** bf16 of fp32 values; NaN stays NaN. */
export function toBf16(src: Float32Array, out: Uint16Array = new Uint16Array(src.length)): Uint16Array {
  want('src', src, Float32Array);
  want('out', out, Uint16Array);
  if (out.length < src.length)
    throw invalidArgument('out', `a Uint16Array of ${out.length}`, `at least ${src.length} long`);
  native.narrow(src, out);
  return out;
}

/** fp32 of bf16 values, exact. */
export function fromBf16(src: Uint16Array, out: Float32Array = new Float32Array(src.length)): Float32Array {
  want('src', src, Uint16Array);
  want('out', out, Float32Array);
  if (out.length < src.length)
    throw invalidArgument('out', `a Float32Array of ${out.length}`, `at least ${src.length} long`);
  native.widen(src, out);
  return out;
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
  out: Out = new Uint16Array(src.hidden.length) as Out,
): Out {
  want('src.hidden', src.hidden, Uint8Array);
  want('src.scales', src.scales, Float32Array);
  want('out', out, Uint16Array, Float32Array);
  const rows = rowsOf(src.hidden, hidden);
  if (src.scales.length < rows * scalesPerRow(hidden))
    throw invalidArgument(
      'src.scales',
      `${src.scales.length} scales`,
      `at least ${rows * scalesPerRow(hidden)} scales`,
    );
  if (out.length < src.hidden.length)
    throw invalidArgument('out', `${out.length} elements`, `at least ${src.hidden.length}`);
  native.dequantise(src.hidden, src.scales, out, rows, hidden);
  return out;
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

function rowsOf(src: { length: number }, hidden: number): number {
  if (!Number.isSafeInteger(hidden) || hidden < 1)
    throw invalidArgument('hidden', hidden, 'an integer of at least 1');
  if (src.length % hidden !== 0)
    throw invalidArgument('src', `${src.length} elements`, `a multiple of hidden (${hidden})`);
  return src.length / hidden;
}
