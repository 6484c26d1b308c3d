import { invalidArgument, type Phase, WeftError } from '../../errors.js';

export type NdData = Uint8Array | Uint16Array | Int32Array | BigInt64Array | Float32Array;

/**
 * An array with axes, as this module takes and gives them: `data` in row-major order, unless `strides` says otherwise. The
 * class of `data` is the element type: Uint16Array bf16, Uint8Array FP8 e4m3 (or 0 and 1), Float32Array, Int32Array,
 * BigInt64Array. A `Tensor` is one. Arrays of one axis are plain typed arrays.
 */
export interface NdArray<Data extends NdData = NdData> {
  readonly data: Data;
  readonly shape: readonly number[];
  /** Elements from one entry of each axis to the next. */
  readonly strides?: readonly number[];
}

/** Rows in FP8: e4m3 [..., hidden] and their scales [..., hidden / 128]. */
export type Fp8Pair<Scales extends Float32Array | Int32Array = Float32Array> = readonly [
  NdArray<Uint8Array>,
  NdArray<Scales>,
];

export function elements(shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, 1);
}

interface Kind<Data extends NdData> {
  new (length: number): Data;
  readonly name: string;
}

/**
 * Throws unless `value` is a dense array of one of `kinds` with this many axes.
 * @returns its shape
 */
export function checkArray(
  name: string,
  value: unknown,
  axes: number,
  kinds: readonly Kind<NdData>[],
  phase: Phase,
): readonly number[] {
  const { data, shape, strides } = (value ?? {}) as Partial<NdArray>;
  if (!Array.isArray(shape) || shape.length !== axes || !shape.every(isCount))
    throw invalidArgument(`${name}.shape`, shape, `a list of ${axes} integers of at least 0`, { phase });
  if (!kinds.some((kind) => data instanceof kind)) {
    const allowed = kinds.map((kind) => kind.name);
    const given = (data as object | undefined)?.constructor?.name ?? typeof data;
    throw new WeftError('WEFT_DTYPE', `${name}.data must be a ${allowed.join(' or a ')}, not ${given}`, {
      phase,
      details: { argument: `${name}.data`, given, allowed },
    });
  }
  if (data!.length !== elements(shape))
    throw invalidArgument(
      `${name}.data`,
      `${data!.length} elements`,
      `as long as its shape says: ${elements(shape)}`,
      {
        phase,
      },
    );
  if (strides !== undefined && !isDense(shape, strides))
    throw invalidArgument(`${name}.strides`, strides, 'absent, or those of row-major order', { phase });
  return shape;
}

/** The same, for an array that must have this shape. */
export function checkShape(
  name: string,
  value: unknown,
  shape: readonly number[],
  kinds: readonly Kind<NdData>[],
  phase: Phase,
): void {
  const given = checkArray(name, value, shape.length, kinds, phase);
  if (!given.every((n, axis) => n === shape[axis]))
    throw invalidArgument(`${name}.shape`, given, `[${shape.join(', ')}]`, { phase });
}

/** Throws unless `value` is a typed array of `kind` with `length` elements. */
export function checkVector(
  name: string,
  value: unknown,
  length: number,
  kind: Kind<NdData>,
  phase: Phase,
): void {
  if (!(value instanceof kind))
    throw new WeftError('WEFT_DTYPE', `${name} must be a ${kind.name}`, {
      phase,
      details: { argument: name, allowed: kind.name },
    });
  if (value.length !== length)
    throw invalidArgument(name, `${value.length} elements`, `${length} elements long`, { phase });
}

export function checkInteger(name: string, value: unknown, least: number, most: number, phase: Phase): void {
  if (!isCount(value) || value < least || value > most)
    throw invalidArgument(name, value, `an integer, ${least} to ${most}`, { phase });
}

export function checkFlag(name: string, value: unknown, phase: Phase): void {
  if (typeof value !== 'boolean') throw invalidArgument(name, value, 'true or false', { phase });
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isDense(shape: readonly number[], strides: readonly number[]): boolean {
  return strides.length === shape.length && strides.every((n, axis) => n === elements(shape.slice(axis + 1)));
}
