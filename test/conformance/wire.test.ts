import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  crc32c,
  decodeFrame,
  decodeHello,
  encodeFrame,
  encodeHello,
  FRAME_BYTES,
  layoutOf,
  stateWord,
} from './wire-codec.js';
import { type WireVectors, wireVectors } from './wire-vectors.js';

const file = new URL('vectors/wire.json', import.meta.url);
const vectors = JSON.parse(readFileSync(file, 'utf8')) as WireVectors;
const bytes = (text: string): Buffer => Buffer.from(text, 'hex');

describe('committed vectors of the data plane', () => {
  it('are what the generator makes', () => {
    expect(wireVectors()).toEqual(vectors);
  });

  it('crc32c gives the published answer', () => {
    expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
    for (const { hex, crc } of vectors.crc32c) expect(crc32c(bytes(hex))).toBe(crc);
  });

  it.each(vectors.hellos)('hello: $name is read and written', ({ fields, hex }) => {
    expect(encodeHello(fields).toString('hex')).toBe(hex);
    expect(decodeHello(bytes(hex))).toEqual(fields);
  });

  it.each(vectors.hellos)('hello: $name with a flipped bit is refused', ({ hex }) => {
    for (let at = 0; at < 120; at++) {
      const damaged = bytes(hex);
      damaged[at]! ^= 1 << (at & 7);
      expect(() => decodeHello(damaged)).toThrow();
    }
  });

  const frames = vectors.streams.flatMap(({ shape, frames }) => frames.map((frame) => ({ ...frame, shape })));

  it.each(frames)('frame: $name is read and written', ({ fields, body, hex, shape }) => {
    expect(encodeFrame(fields, body, shape).toString('hex')).toBe(hex);
    expect(decodeFrame(bytes(hex), shape)).toEqual({ frame: fields, body });
  });

  it.each(frames)('frame: $name with a flipped bit in its header is refused', ({ hex, shape }) => {
    for (let at = 0; at < FRAME_BYTES; at++) {
      const damaged = bytes(hex);
      damaged[at]! ^= 1 << (at & 7);
      expect(() => decodeFrame(damaged, shape)).toThrow();
    }
  });

  it.each(vectors.publications)('publication: $name', ({ shape, layout }) => {
    expect(layoutOf(shape)).toEqual(layout);
  });

  it('state words put the generation above twenty bits of rows', () => {
    for (const { generation, rows, word } of vectors.stateWords) {
      expect(stateWord(BigInt(generation), rows)).toBe(BigInt(word));
      expect(BigInt(word) >> 20n).toBe(BigInt(generation));
      expect(Number(BigInt(word) & 0xfffffn)).toBe(rows);
      expect(BigInt(word)).toBeLessThan(1n << 64n);
    }
  });
});
