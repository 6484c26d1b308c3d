import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import {
  encodeHeader,
  type NamedTensor,
  SafetensorsFile,
  writeSafetensors,
} from '../../../examples/moe-engine/model/safetensors.js';

const folder = mkdtempSync(join(tmpdir(), 'safetensors-test-'));
afterAll(() => rmSync(folder, { recursive: true }));

const TENSORS: NamedTensor[] = [
  { name: 'a', shape: [2, 2], data: Uint16Array.of(0x3f80, 0xc000, 0x0000, 0x7f80) },
  { name: 'b', shape: [1], data: Float32Array.of(0.5) },
];

/** The file above written out by hand: length word, JSON, padding to eight, bf16 data, fp32 data. */
const HEADER =
  '{"__metadata__":{"made":"by hand"},"a":{"dtype":"BF16","shape":[2,2],"data_offsets":[0,8]},' +
  '"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}       ';
const GOLDEN = Buffer.concat([
  Buffer.from([152, 0, 0, 0, 0, 0, 0, 0]),
  Buffer.from(HEADER),
  Buffer.from([0x80, 0x3f, 0x00, 0xc0, 0x00, 0x00, 0x80, 0x7f]),
  Buffer.from([0x00, 0x00, 0x00, 0x3f]),
]);

function file(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

function withHeader(header: string, data: number): Buffer {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, Buffer.from(header), Buffer.alloc(data)]);
}

describe('safetensors', () => {
  it('writes the bytes of a file made by hand', () => {
    const path = join(folder, 'written');
    writeSafetensors(path, TENSORS, { made: 'by hand' });
    expect(HEADER.length).toBe(152);
    expect(readFileSync(path).equals(GOLDEN)).toBe(true);
    expect(Buffer.from(encodeHeader(TENSORS, { made: 'by hand' })).equals(GOLDEN.subarray(0, 160))).toBe(
      true,
    );
  });

  it('reads it back', () => {
    using golden = new SafetensorsFile(file('golden', GOLDEN));
    expect(golden.metadata).toEqual({ made: 'by hand' });
    expect(golden.names).toEqual(['a', 'b']);
    expect(golden.info('a')).toMatchObject({ dtype: 'BF16', shape: [2, 2] });
    expect([...golden.read('a', [2, 2])]).toEqual([1, -2, 0, Number.POSITIVE_INFINITY]);
    expect([...golden.read('b', [1])]).toEqual([0.5]);
    expect(() => golden.read('a', [4])).toThrow(/'a' is \[2,2\], wanted \[4\]/);
    expect(() => golden.read('c', [1])).toThrow(/absent/);
  });

  it.each([
    ['an empty file', Buffer.alloc(0), /header of 0 bytes/],
    ['a header longer than the file', GOLDEN.subarray(0, 100), /header of 152 bytes/],
    ['data that is cut off', GOLDEN.subarray(0, 170), /describes 12 bytes of data, the file has 10/],
    ['something else', Buffer.from('a text file that is not one'), /header of/],
    ['a header that is not JSON', withHeader('{"a":', 0), /JSON/],
    ['a dtype of its own', withHeader('{"a":{"dtype":"F8","shape":[1],"data_offsets":[0,1]}}', 1), /F8/],
    [
      'a shape that does not fit',
      withHeader('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}', 4),
      /take 4/,
    ],
    [
      'a negative shape',
      withHeader('{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}', 4),
      /no valid shape/,
    ],
    ['a hole', withHeader('{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}', 8), /starts at 4/],
  ])('refuses %s', (name, bytes, message) => {
    expect(() => new SafetensorsFile(file(name.replaceAll(' ', '-'), bytes))).toThrow(message);
  });
});
