import { arrayName, type DType, elementBytes, type TypedArray, viewOf } from './dtype.js';

/**
 * A dense row-major array in registered memory: in the mesh's arena, where every transport can reach it without
 * staging. Made by `mesh.tensor()`; results of combine are tensors too.
 *
 * The memory belongs to the mesh. A tensor of `mesh.tensor()` is the caller's until `free()` or until the mesh is
 * closed; a result is the caller's until its slot is claimed again, `depth` rounds later.
 */
export class Tensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** bf16 as Uint16Array, FP8 as Uint8Array, see `DType`. */
  readonly data: TypedArray;
  /** The piece of a heap this tensor lies in, as others may: a mesh recognises its own tensors by it. @internal */
  readonly memory: object;

  /** @internal */
  constructor(memory: object, dtype: DType, shape: readonly number[], data: TypedArray) {
    this.memory = memory;
    this.dtype = dtype;
    this.shape = shape;
    this.data = data;
  }

  /** @internal */
  static over(
    memory: object,
    dtype: DType,
    shape: readonly number[],
    buffer: ArrayBuffer,
    offset: number,
  ): Tensor {
    return new Tensor(memory, dtype, shape, viewOf(dtype, buffer, offset, sizeOf(shape)));
  }

  get bytes(): number {
    return this.data.byteLength;
  }

  /** Row `i` of the first axis, as a view of the same memory. */
  row(i: number): TypedArray {
    const width = sizeOf(this.shape.slice(1));
    return this.data.subarray(i * width, (i + 1) * width);
  }

  get [Symbol.toStringTag](): string {
    return `Tensor ${this.dtype} [${this.shape.join(', ')}] over ${arrayName(this.dtype)}`;
  }
}

/** Elements of a shape. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, 1);
}

export function bytesOf(dtype: DType, shape: readonly number[]): number {
  return sizeOf(shape) * elementBytes(dtype);
}
