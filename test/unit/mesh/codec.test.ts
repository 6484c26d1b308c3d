import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decode, encode } from '../../../src/mesh/codec.js';
import { checkFrame } from '../../../src/mesh/frame-gate.js';
import { MAX_FRAME_BYTES } from '../../../src/mesh/limits.js';
import { failure } from './helpers.js';

const bytes = (hex: string): Buffer => Buffer.from(hex, 'hex');

describe('codec', () => {
  it('gives back every plain value', () => {
    const key = fc.string().filter((text) => text !== '__proto__');
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { depthSize: 'small', maxDepth: 8 },
        fc.constant(null),
        fc.boolean(),
        fc.integer(),
        fc.double({ noNaN: true, noDefaultInfinity: true }).map((x) => (x === 0 ? 0 : x)),
        fc.string({ unit: 'grapheme' }),
        fc.uint8Array().map((array) => Buffer.from(array)),
        fc.array(tie('value')),
        fc.dictionary(key, tie('value'), { noNullPrototype: true }),
      ),
    }));
    fc.assert(
      fc.property(value, (given) => {
        const frame = encode(given);
        checkFrame(frame);
        expect(decode(frame)).toEqual(given);
      }),
    );
  });

  it('leaves out undefined fields and writes any Uint8Array as bin', () => {
    expect(encode({ a: undefined, b: new Uint8Array([1, 2]) }).toString('hex')).toBe('81a162c4020102');
  });

  it('decodes bytes into memory of their own', () => {
    const frame = encode([new Uint8Array([1, 2, 3])]);
    const [copy] = decode(frame) as [Uint8Array];
    frame.fill(0);
    expect([...copy]).toEqual([1, 2, 3]);
  });

  it.each([
    ['NaN', Number.NaN],
    ['Infinity', Infinity],
    ['bigint', 1n],
    ['function', () => 1],
    ['other typed arrays', new Float32Array(2)],
    ['Map', new Map()],
    ['Date', new Date(0)],
    ['class instances', new (class Thing {})()],
    ['symbol', Symbol('x')],
    ['an own __proto__', JSON.parse('{"__proto__": 1}')],
  ])('refuses to encode %s', async (_, value) => {
    await failure((async () => encode({ value }))(), 'WEFT_INVALID_ARGUMENT');
  });

  it('refuses cycles', async () => {
    const loop: Record<string, unknown> = {};
    loop.loop = loop;
    await failure((async () => encode(loop))(), 'WEFT_INVALID_ARGUMENT');
  });

  it('limits the length both ways', async () => {
    const long = Buffer.alloc(MAX_FRAME_BYTES - 4);
    await failure((async () => encode(long))(), 'WEFT_INVALID_ARGUMENT');
    await failure((async () => decode(Buffer.alloc(MAX_FRAME_BYTES + 1)))(), 'WEFT_PROTOCOL');
    expect(decode(encode(long.subarray(1)))).toHaveLength(MAX_FRAME_BYTES - 5);
  });

  it('keeps no state that a hostile frame could leave behind', async () => {
    await failure((async () => decode(bytes('d4724091a16107')))(), 'WEFT_PROTOCOL');
    expect(decode(bytes('9140'))).toEqual([0x40]);
  });

  it('makes of any bytes a value or WEFT_PROTOCOL', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (frame) => {
        try {
          decode(frame);
        } catch (error) {
          expect(error).toMatchObject({ code: 'WEFT_PROTOCOL' });
        }
      }),
      { numRuns: 20_000 },
    );
  });

  it('makes of a frame with any byte changed a value or WEFT_PROTOCOL', () => {
    const frame = encode({
      type: 'x',
      list: [1, -5, 70_000, 1.5, null, true],
      bytes: Buffer.alloc(40),
      map: { a: 'é' },
    });
    for (let at = 0; at < frame.length; at += 1) {
      for (let byte = 0; byte < 256; byte += 1) {
        const changed = Buffer.from(frame);
        changed[at] = byte;
        try {
          decode(changed);
        } catch (error) {
          expect(error).toMatchObject({ code: 'WEFT_PROTOCOL' });
        }
      }
    }
  });
});
