import { AssertionError } from 'node:assert';
import type { TypedArray } from '../tensor/dtype.js';

/** Throws, naming the first difference, unless the two hold the same bytes. */
export function same(what: string, actual: TypedArray, expected: TypedArray): void {
  if (actual.length !== expected.length)
    throw new AssertionError({
      message: `${what}: ${actual.length} elements, expected ${expected.length}`,
      actual: actual.length,
      expected: expected.length,
    });
  const [a, b] = [bytesOf(actual), bytesOf(expected)];
  if (Buffer.compare(a, b) === 0) return;
  const at = Math.floor(a.findIndex((byte, i) => byte !== b[i]) / actual.BYTES_PER_ELEMENT);
  throw new AssertionError({
    message: `${what}: element ${at} of ${actual.length} is ${actual[at]}, expected ${expected[at]}`,
    actual: actual[at],
    expected: expected[at],
  });
}

export function bytesOf(array: TypedArray): Buffer {
  return Buffer.from(array.buffer, array.byteOffset, array.byteLength);
}
