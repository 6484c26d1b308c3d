import { invalidArgument, WeftError } from '../errors.js';
import { DTYPES, type DType, isDType } from './dtype.js';
import { bytesOf, Tensor } from './tensor.js';

/** Tensors begin on their own pair of cache lines. */
const ALIGN = 128;

interface Piece {
  offset: number;
  bytes: number;
}

/** The part of an arena that tensors are allocated from: first fit, holes joined when freed. */
export class Heap {
  readonly #buffer: ArrayBuffer;
  readonly #holes: Piece[];
  readonly #taken = new Set<object>();
  readonly #freeable = new Map<Tensor, Piece>();
  /** Where memory begins that no tensor ever had: it is zero, as the system gave it. */
  #untouched: number;

  constructor(buffer: ArrayBuffer, offset: number, bytes: number) {
    this.#buffer = buffer;
    this.#holes = [{ offset, bytes }];
    this.#untouched = offset;
  }

  /** A tensor that its user may give to `free()`. */
  allocate(dtype: DType, shape: readonly number[]): Tensor {
    const [tensor, piece] = this.#take(dtype, shape);
    this.#freeable.set(tensor, piece);
    return tensor;
  }

  /** A tensor that stays for as long as the heap. */
  reserve(dtype: DType, shape: readonly number[]): Tensor {
    return this.#take(dtype, shape)[0];
  }

  #take(dtype: DType, shape: readonly number[]): [Tensor, Piece] {
    if (!isDType(dtype)) throw invalidArgument('dtype', dtype, `one of ${DTYPES.join(', ')}`);
    if (!Array.isArray(shape) || !shape.every((n) => Number.isSafeInteger(n) && n >= 0))
      throw invalidArgument('shape', shape, 'a list of integers of at least 0');
    const bytes = Math.max(ALIGN, Math.ceil(bytesOf(dtype, shape) / ALIGN) * ALIGN);
    const hole = this.#holes.find((candidate) => candidate.bytes >= bytes);
    if (hole === undefined) {
      const free = this.#holes.reduce((most, { bytes }) => Math.max(most, bytes), 0);
      throw new WeftError(
        'WEFT_INVALID_ARGUMENT',
        `shape: ${dtype} [${shape.join(', ')}] needs ${bytes} bytes, but the largest free piece of the mesh's heap has ${free}; ` +
          'free() what is no longer used, or raise heapBytes of joinMesh',
        { details: { argument: 'shape', bytes, free } },
      );
    }
    const taken = { offset: hole.offset, bytes };
    hole.offset += bytes;
    hole.bytes -= bytes;
    if (hole.bytes === 0) this.#holes.splice(this.#holes.indexOf(hole), 1);
    const used = Math.min(bytes, this.#untouched - taken.offset);
    if (used > 0) new Uint8Array(this.#buffer, taken.offset, used).fill(0);
    this.#untouched = Math.max(this.#untouched, taken.offset + bytes);
    this.#taken.add(taken);
    return [Tensor.over(taken, dtype, [...shape], this.#buffer, taken.offset), taken];
  }

  /** False when the tensor was not made by `allocate()`, or was freed before. */
  free(tensor: Tensor): boolean {
    const taken = this.#freeable.get(tensor);
    if (taken === undefined) return false;
    this.#freeable.delete(tensor);
    this.#taken.delete(taken);
    const at = this.#holes.findIndex((hole) => hole.offset > taken.offset);
    // A copy: tensors know the piece that was taken, and that one is gone for good.
    this.#holes.splice(at < 0 ? this.#holes.length : at, 0, { ...taken });
    for (let i = this.#holes.length - 1; i > 0; i--) {
      const [left, right] = [this.#holes[i - 1]!, this.#holes[i]!];
      if (left.offset + left.bytes !== right.offset) continue;
      left.bytes += right.bytes;
      this.#holes.splice(i, 1);
    }
    return true;
  }

  /** Whether the tensor lies in memory of this heap that was not freed. */
  owns(tensor: Tensor): boolean {
    return this.#taken.has(tensor.memory);
  }
}
