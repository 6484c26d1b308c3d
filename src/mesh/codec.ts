import { Packr } from 'msgpackr';
import { givenText, WeftError } from '../errors.js';
import { checkFrame } from './frame-gate.js';
import { MAX_DEPTH, MAX_FRAME_BYTES } from './limits.js';

/**
 * The only Packr of the package; no other module may import msgpackr. Its defaults are dangerous here: records keep
 * state from one message to the next, and a typed array without `moreTypes` is written truncated and padded with
 * stale memory of the process. Payload of tensors never passes through it.
 */
const packr = new Packr({
  moreTypes: true,
  useRecords: false,
  int64AsType: 'number',
  variableMapSize: true,
  // Decoded bytes outlive the socket's buffer.
  copyBuffers: true,
});

/**
 * `value` as MessagePack: null, booleans, finite numbers, strings, Uint8Array (as bin), arrays and plain objects;
 * fields that are undefined are left out. Integers of 32 bits are written as integers in their shortest form, all other
 * numbers as float64. Anything else, or more than `MAX_FRAME_BYTES`, throws WEFT_INVALID_ARGUMENT.
 */
export function encode(value: unknown): Buffer {
  const frame = packr.pack(plain(value, 1));
  if (frame.byteLength > MAX_FRAME_BYTES) {
    throw new WeftError(
      'WEFT_INVALID_ARGUMENT',
      `a control message of ${frame.byteLength} bytes is longer than the limit of ${MAX_FRAME_BYTES}`,
    );
  }
  return frame;
}

/** The value of one frame, by the rules of `checkFrame`. Whatever is wrong with it throws WEFT_PROTOCOL. */
export function decode(frame: Uint8Array): unknown {
  if (frame.byteLength > MAX_FRAME_BYTES) {
    throw new WeftError(
      'WEFT_PROTOCOL',
      `a control frame of ${frame.byteLength} bytes is longer than the limit of ${MAX_FRAME_BYTES}`,
    );
  }
  checkFrame(frame);
  try {
    return packr.unpack(frame);
  } catch (cause) {
    throw new WeftError('WEFT_PROTOCOL', 'malformed control frame: it could not be decoded', { cause });
  }
}

/** A copy that holds only what the protocol has types for. Bytes become Buffers, which are written as bin. */
function plain(value: unknown, depth: number): unknown {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (depth > MAX_DEPTH) throw refusal(`more than ${MAX_DEPTH} levels`);
  if (Array.isArray(value)) return Array.from(value, (item) => plain(item, depth + 1));
  if (typeof value !== 'object' || !isPlainObject(value)) throw refusal(givenText(value));
  const fields = Object.entries(value).filter(([, field]) => field !== undefined);
  return Object.fromEntries(fields.map(([name, field]) => [name, plain(field, depth + 1)]));
}

function isPlainObject(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return (prototype === Object.prototype || prototype === null) && !Object.hasOwn(value, '__proto__');
}

function refusal(what: string): WeftError {
  return new WeftError('WEFT_INVALID_ARGUMENT', `a control message cannot carry ${what}`);
}
