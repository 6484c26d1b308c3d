import { WeftError } from '../errors.js';
import { MAX_DEPTH } from './limits.js';

/**
 * The one gate every received control frame passes before the decoder sees it. It admits the plain part of
 * MessagePack: nil, booleans, numbers, strings, binary, arrays and maps with string keys, at most `MAX_DEPTH`
 * deep, with counts that the frame's length can hold, and nothing after the value.
 *
 * The decoder alone would also follow extensions: record definitions, typed arrays, regular expressions, object
 * references. And it allocates an array as long as the header claims. Nothing of that is part of this protocol.
 */
export function checkFrame(frame: Uint8Array): void {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  /** Per open container: values left in it, and whether it is a map (then even counts are keys). */
  const left: number[] = [];
  const isMap: boolean[] = [];
  let at = 0;

  const refuse = (why: string): never => {
    throw new WeftError(
      'WEFT_PROTOCOL',
      `malformed control frame at byte ${at} of ${frame.byteLength}: ${why}`,
    );
  };
  /** Skips `bytes` and gives where they start. */
  const take = (bytes: number): number => {
    if (bytes > frame.byteLength - at) refuse('it ends in the middle of a value');
    at += bytes;
    return at - bytes;
  };
  /** A big-endian length of 1, 2 or 4 bytes: `log` is its binary logarithm. */
  const length = (log: number): number => {
    const from = take(1 << log);
    return log === 0 ? view.getUint8(from) : log === 1 ? view.getUint16(from) : view.getUint32(from);
  };
  const open = (count: number, map: boolean): void => {
    const values = map ? count * 2 : count;
    // Every value takes a byte at least; a count beyond that is a lie which would cost memory.
    if (values > frame.byteLength - at) refuse(`a container of ${count} does not fit in the frame`);
    if (left.length >= MAX_DEPTH) refuse(`nested deeper than ${MAX_DEPTH}`);
    left.push(values);
    isMap.push(map);
  };

  do {
    const top = left.length - 1;
    const isKey = top >= 0 && isMap[top] === true && left[top]! % 2 === 0;
    if (top >= 0) left[top]! -= 1;

    const start = take(1);
    const tag = view.getUint8(start);
    const isText = (tag & 0xe0) === 0xa0 || (tag >= 0xd9 && tag <= 0xdb);
    if (isKey && !isText) refuse('a map key is not a string');

    if (isText) {
      const bytes = tag < 0xc0 ? tag & 0x1f : length(tag - 0xd9);
      const from = take(bytes);
      if (isKey && isProto(frame, from, bytes)) refuse('the key "__proto__" is not allowed');
    } else if (tag <= 0x7f || tag >= 0xe0 || tag === 0xc0 || tag === 0xc2 || tag === 0xc3) {
      // fixint, nil, false, true: the tag is the value
    } else if (tag <= 0x8f) open(tag & 0x0f, true);
    else if (tag <= 0x9f) open(tag & 0x0f, false);
    else if (tag >= 0xc4 && tag <= 0xc6) take(length(tag - 0xc4));
    else if (tag === 0xca || tag === 0xcb) take(tag === 0xca ? 4 : 8);
    else if (tag >= 0xcc && tag <= 0xd3) take(1 << ((tag - 0xcc) & 3));
    else if (tag === 0xdc || tag === 0xdd) open(length(tag - 0xdb), false);
    else if (tag === 0xde || tag === 0xdf) open(length(tag - 0xdd), true);
    else refuse(`type 0x${tag.toString(16)} is not part of this protocol`);

    while (left.length > 0 && left[left.length - 1] === 0) {
      left.pop();
      isMap.pop();
    }
  } while (left.length > 0);

  if (at !== frame.byteLength) refuse('there are bytes after the value');
}

const PROTO: Uint8Array = new TextEncoder().encode('__proto__');

function isProto(frame: Uint8Array, from: number, bytes: number): boolean {
  return bytes === PROTO.length && PROTO.every((byte, i) => frame[from + i] === byte);
}
