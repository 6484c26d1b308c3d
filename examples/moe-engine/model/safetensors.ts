/**
 * The safetensors format: a little-endian u64 header length, a JSON header that maps a name to its dtype, shape and byte
 * range, then the data without holes. Only the two dtypes of this model are read or written.
 */
import { closeSync, fstatSync, openSync, readSync, renameSync, writeSync } from 'node:fs';
import { endianness } from 'node:os';
import { fromBf16 } from './numerics.js';

export type TensorDtype = 'BF16' | 'F32';

/** Data is row-major; bf16 as its bits. */
export interface NamedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Uint16Array | Float32Array;
}

interface HeaderEntry {
  readonly dtype: TensorDtype;
  readonly shape: readonly number[];
  /** Relative to the first byte after the header; the end is exclusive. */
  readonly data_offsets: readonly [number, number];
}

const ELEMENT_BYTES: Record<TensorDtype, number> = { BF16: 2, F32: 4 };
const MAX_HEADER_BYTES = 100_000_000;

/** The bytes in front of the data: length word and header, padded with spaces so that the data starts at 8. */
export function encodeHeader(tensors: readonly NamedTensor[], metadata: Record<string, string>): Uint8Array {
  const header: Record<string, unknown> = { __metadata__: metadata };
  let offset = 0;
  for (const { name, shape, data } of tensors) {
    const dtype: TensorDtype = data instanceof Uint16Array ? 'BF16' : 'F32';
    header[name] = { dtype, shape, data_offsets: [offset, offset + data.byteLength] };
    offset += data.byteLength;
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Math.ceil(json.length / 8) * 8;
  const bytes = Buffer.alloc(8 + length, ' ');
  bytes.writeBigUInt64LE(BigInt(length), 0);
  json.copy(bytes, 8);
  return bytes;
}

/** Writes the whole file under a temporary name and renames it, so that a reader never sees half of one. */
export function writeSafetensors(
  path: string,
  tensors: readonly NamedTensor[],
  metadata: Record<string, string>,
): void {
  requireLittleEndian();
  const draft = `${path}.${process.pid}.part`;
  const file = openSync(draft, 'w');
  try {
    writeAll(file, encodeHeader(tensors, metadata));
    for (const { data } of tensors) {
      writeAll(file, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    }
  } finally {
    closeSync(file);
  }
  renameSync(draft, path);
}

/** An open file; reads only the tensors that are asked for. Close it when done (or `using`). */
export class SafetensorsFile implements Disposable {
  readonly path: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly #file: number;
  readonly #dataAt: number;
  readonly #entries: ReadonlyMap<string, HeaderEntry>;

  /** Throws an Error that says what is wrong with the header, before any data is read. */
  constructor(path: string) {
    requireLittleEndian();
    this.path = path;
    this.#file = openSync(path, 'r');
    try {
      const size = fstatSync(this.#file).size;
      const length = size < 8 ? 0 : Number(Buffer.from(this.#read(0, 8)).readBigUInt64LE());
      if (length < 2 || length > Math.min(size - 8, MAX_HEADER_BYTES)) {
        throw new Error(`header of ${length} bytes in a file of ${size}`);
      }
      this.#dataAt = 8 + length;
      const header = JSON.parse(Buffer.from(this.#read(8, length)).toString('utf8')) as Record<
        string,
        unknown
      >;
      const { __metadata__: metadata = {}, ...entries } = header;
      this.metadata = metadata as Record<string, string>;
      this.#entries = new Map(
        Object.entries(entries).map(([name, entry]) => [name, checkEntry(name, entry)]),
      );
      checkRanges(this.#entries, size - this.#dataAt);
    } catch (error) {
      closeSync(this.#file);
      throw new Error(`${path} is not a usable safetensors file: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }

  get names(): string[] {
    return [...this.#entries.keys()];
  }

  /** Shape and dtype of `name`; throws when there is no such tensor. */
  info(name: string): { readonly dtype: TensorDtype; readonly shape: readonly number[] } {
    const entry = this.#entries.get(name);
    if (!entry) throw new Error(`${this.path}: no tensor '${name}'`);
    return entry;
  }

  /** Tensor `name` as fp32 (bf16 is widened, exactly). Throws when its shape is not `shape`. */
  read(name: string, shape: readonly number[]): Float32Array {
    const entry = this.#entries.get(name);
    if (!entry || entry.shape.join() !== shape.join()) {
      throw new Error(`${this.path}: '${name}' is [${entry?.shape ?? 'absent'}], wanted [${shape}]`);
    }
    const [begin, end] = entry.data_offsets;
    const bytes = this.#read(this.#dataAt + begin, end - begin);
    if (entry.dtype === 'F32') return new Float32Array(bytes.buffer);
    const values = new Float32Array(bytes.length / 2);
    fromBf16(new Uint16Array(bytes.buffer), values, values.length);
    return values;
  }

  close(): void {
    closeSync(this.#file);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Exactly `length` bytes in a buffer of their own, aligned for any element type. */
  #read(position: number, length: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(length);
    let done = 0;
    while (done < length) {
      const got = readSync(this.#file, bytes, done, length - done, position + done);
      if (got === 0) throw new Error(`ends at byte ${position + done}`);
      done += got;
    }
    return bytes;
  }
}

function checkEntry(name: string, value: unknown): HeaderEntry {
  const entry = value as Partial<HeaderEntry> | null;
  const bytes = entry?.dtype === undefined ? undefined : ELEMENT_BYTES[entry.dtype];
  if (!entry || bytes === undefined)
    throw new Error(`'${name}' has dtype ${String(entry?.dtype)}; only BF16 and F32 are read`);
  const { shape, data_offsets: range } = entry;
  const whole = (list: unknown): boolean =>
    Array.isArray(list) && list.every((n) => Number.isSafeInteger(n) && n >= 0);
  if (!shape || !range || !whole(shape) || !whole(range) || range.length !== 2) {
    throw new Error(`'${name}' has no valid shape and data_offsets`);
  }
  if (range[1] - range[0] !== shape.reduce((product, n) => product * n, bytes)) {
    throw new Error(`'${name}' of shape [${shape}] does not take ${range[1] - range[0]} bytes`);
  }
  return entry as HeaderEntry;
}

/** The format allows neither overlaps nor holes: ranges in order must tile the data exactly. */
function checkRanges(entries: ReadonlyMap<string, HeaderEntry>, size: number): void {
  const ranges = [...entries].sort(([, a], [, b]) => a.data_offsets[0] - b.data_offsets[0]);
  let at = 0;
  for (const [name, { data_offsets: range }] of ranges) {
    if (range[0] !== at) throw new Error(`'${name}' starts at ${range[0]}, the data before it ends at ${at}`);
    at = range[1];
  }
  if (at !== size) throw new Error(`the header describes ${at} bytes of data, the file has ${size}`);
}

function writeAll(file: number, bytes: Uint8Array): void {
  let done = 0;
  while (done < bytes.length) done += writeSync(file, bytes, done);
}

/** Data is little-endian by definition and used as it is. */
function requireLittleEndian(): void {
  if (endianness() !== 'LE') throw new Error('safetensors: this reader needs a little-endian machine');
}
