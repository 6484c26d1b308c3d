/** Element types. bf16 and FP8 have no typed array of their own: they are stored as the unsigned integers they are. */
export type DType = 'u8' | 'i32' | 'u32' | 'f32' | 'bf16' | 'fp8e4m3';

export type TypedArray = Uint8Array | Uint16Array | Int32Array | Uint32Array | Float32Array;

interface Kind {
  readonly bytes: number;
  readonly array: {
    new (buffer: ArrayBufferLike, byteOffset: number, length: number): TypedArray;
    readonly name: string;
  };
}

const kinds: Readonly<Record<DType, Kind>> = {
  u8: { bytes: 1, array: Uint8Array },
  i32: { bytes: 4, array: Int32Array },
  u32: { bytes: 4, array: Uint32Array },
  f32: { bytes: 4, array: Float32Array },
  bf16: { bytes: 2, array: Uint16Array },
  fp8e4m3: { bytes: 1, array: Uint8Array },
};

export const DTYPES: readonly DType[] = Object.keys(kinds) as DType[];

export function isDType(value: unknown): value is DType {
  return typeof value === 'string' && Object.hasOwn(kinds, value);
}

/** Bytes of one element. */
export function elementBytes(dtype: DType): number {
  return kinds[dtype].bytes;
}

/** Name of the typed array that holds elements of this type, for messages. */
export function arrayName(dtype: DType): string {
  return kinds[dtype].array.name;
}

export function viewOf(
  dtype: DType,
  buffer: ArrayBufferLike,
  byteOffset: number,
  length: number,
): TypedArray {
  return new kinds[dtype].array(buffer, byteOffset, length);
}

export function holds(array: unknown, dtype: DType): boolean {
  return array instanceof kinds[dtype].array;
}
