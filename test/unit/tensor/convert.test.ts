import fc from 'fast-check';
import { dequantize, fromBf16, quantize, scalesPerRow, toBf16 } from 'tensorweft';
import { describe, expect, it } from 'vitest';
import {
  bf16Of,
  dequantizeRow,
  e4m3Of,
  quantizeRow,
  valueOfBf16,
  valueOfE4m3,
} from '../../../src/testing/numerics.js';
import { same } from '../../../src/testing/same.js';
import { refuses } from '../../support/wrong.js';
import { finite, fp32 } from './numbers.js';

const ALL_BF16 = Uint16Array.from({ length: 65_536 }, (_, code) => code);

describe('the oracle itself', () => {
  it('knows bf16', () => {
    const pairs: [number, number][] = [
      [1, 0x3f80],
      [-2, 0xc000],
      [1 + 2 ** -8, 0x3f80], // half way: to even
      [1 + 3 * 2 ** -8, 0x3f82],
      [1 + 2 ** -8 + 2 ** -20, 0x3f81],
      [3.4028235e38, 0x7f80],
      [-0, 0x8000],
      [Infinity, 0x7f80],
    ];
    for (const [value, code] of pairs) expect(bf16Of(Math.fround(value)), String(value)).toBe(code);
    expect(valueOfBf16(0x4049)).toBe(3.140625);
  });

  it('knows e4m3', () => {
    expect([0x38, 0x7e, 0x01, 0x08, 0xc4].map(valueOfE4m3)).toEqual([1, 448, 2 ** -9, 2 ** -6, -3]);
    for (let code = 0; code < 256; code++)
      if (code % 128 !== 127) expect(e4m3Of(valueOfE4m3(code))).toBe(code);
    expect([1 + 1 / 16, 1 + 3 / 16, 2 ** -10, 3 * 2 ** -10, 1e9, -500].map(e4m3Of)).toEqual([
      0x38, 0x3a, 0, 2, 0x7e, 0xfe,
    ]);
  });
});

describe('bf16', () => {
  it('of every bf16 there is, and back', () => {
    const wide = fromBf16(ALL_BF16);
    // By their bits: a signalling NaN does not survive being a JavaScript number.
    same(
      'widened',
      new Uint32Array(wide.buffer),
      Uint32Array.from(ALL_BF16, (code) => code * 0x10000),
    );
    const back = toBf16(wide);
    const quiet = ALL_BF16.map((code) => (Number.isNaN(valueOfBf16(code)) ? code | 0x40 : code));
    same('narrowed', back, quiet);
  });

  it('of anything: nearest, ties to even', () => {
    fc.assert(
      fc.property(fc.array(fp32(), { maxLength: 300 }), (values) => {
        const src = Float32Array.from(values);
        same('bf16', toBf16(src), Uint16Array.from(src, bf16Of));
      }),
    );
  });

  it('into a given array, which may be longer, and be a view', () => {
    const room = new Uint16Array(40).fill(9);
    const out = toBf16(
      Float32Array.from({ length: 20 }, (_, i) => i),
      room.subarray(7, 30),
    );
    expect(out.length).toBe(23);
    expect([...room.subarray(0, 8)]).toEqual([9, 9, 9, 9, 9, 9, 9, 0]);
    expect([...room.subarray(27)]).toEqual(Array(13).fill(9));
    const wide = new Float32Array(5);
    expect(fromBf16(Uint16Array.of(0x3f80, 0x4000), wide)).toBe(wide);
    expect([...wide]).toEqual([1, 2, 0, 0, 0]);
  });
});

describe('FP8', () => {
  // Less than a group, one, one and a bit, several.
  it.each([1, 7, 128, 129, 300, 512])('of rows of %i channels, and back', (hidden) => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 3 }),
        fc.array(finite(), { minLength: hidden, maxLength: hidden, size: 'max' }),
        fc.boolean(),
        fc.boolean(),
        (rows, values, powerOfTwo, fromNarrow) => {
          // Every row is different: the values, turned and scaled.
          const wide = Float32Array.from({ length: rows * hidden }, (_, i) => {
            const row = Math.floor(i / hidden);
            const value = values[(i + row * 3) % hidden]!;
            return Math.abs(value) < 1e30 ? value * (row + 1) : value;
          });
          const src = fromNarrow ? toBf16(wide) : wide;
          // Narrowed values near the end of the range are infinite, which has no code.
          fc.pre(!fromNarrow || fromBf16(src as Uint16Array).every(Number.isFinite));
          const used = fromNarrow ? fromBf16(src as Uint16Array) : wide;
          const { hidden: codes, scales } = quantize(src, hidden, { powerOfTwo });
          expect(scales.length).toBe(rows * scalesPerRow(hidden));
          const back = dequantize({ hidden: codes, scales }, hidden, new Float32Array(codes.length));
          const narrow = dequantize({ hidden: codes, scales }, hidden);
          for (let row = 0; row < rows; row++) {
            const expected = quantizeRow(used.subarray(row * hidden, (row + 1) * hidden), powerOfTwo);
            const groups = scalesPerRow(hidden);
            same('scales', scales.subarray(row * groups, (row + 1) * groups), expected.scales);
            same('codes', codes.subarray(row * hidden, (row + 1) * hidden), expected.codes);
            const values = dequantizeRow(expected);
            same('values', back.subarray(row * hidden, (row + 1) * hidden), values);
            same(
              'as bf16',
              narrow.subarray(row * hidden, (row + 1) * hidden),
              Uint16Array.from(values, bf16Of),
            );
          }
        },
      ),
      { numRuns: 40 },
    );
  });

  it('of what is not a number: NaN with its sign; the others of the group keep their scale', () => {
    const src = new Float32Array(128).fill(1);
    src.set([Number.NaN, 448, -3], 5);
    const { hidden: codes, scales } = quantize(src, 128);
    expect(codes[5]! & 0x7f).toBe(0x7f);
    expect([codes[4], codes[6], codes[7]]).toEqual([e4m3Of(1), e4m3Of(448), e4m3Of(-3)]);
    expect(scales[0]).toBe(Math.fround(448 * Math.fround(1 / 448)));
  });

  it('of all zeros has the smallest scale', () => {
    const { hidden: codes, scales } = quantize(new Float32Array(130), 130);
    expect(codes.every((code) => code === 0)).toBe(true);
    const least = Math.fround(Math.fround(1e-4) * Math.fround(1 / 448));
    expect([...scales]).toEqual([least, least]);
  });

  it('of no rows', () => {
    expect(quantize(new Float32Array(0), 64)).toEqual({
      hidden: new Uint8Array(0),
      scales: new Float32Array(0),
    });
  });
});

describe('wrong input', () => {
  const anything = [
    undefined,
    null,
    5,
    'x',
    [1, 2],
    new Float64Array(4),
    new Int16Array(4),
    new DataView(new ArrayBuffer(8)),
  ];

  it.each(anything)('%s instead of an array', async (wrong) => {
    const it = wrong as never;
    const dtype = { code: 'WEFT_DTYPE' } as const;
    await refuses('src', () => toBf16(it), dtype);
    await refuses('src', () => fromBf16(it), dtype);
    await refuses('src', () => quantize(it, 2), dtype);
    if (wrong !== undefined) {
      await refuses('out', () => toBf16(new Float32Array(2), it), dtype);
      await refuses('out', () => fromBf16(new Uint16Array(2), it), dtype);
      const rows = { hidden: new Uint8Array(2), scales: new Float32Array(1) };
      await refuses('out', () => dequantize(rows, 2, it), dtype);
    }
    await refuses('src.hidden', () => dequantize({ hidden: it, scales: new Float32Array(4) }, 2), dtype);
    await refuses('src.scales', () => dequantize({ hidden: new Uint8Array(2), scales: it }, 2), dtype);
  });

  it('the wrong one of two types', async () => {
    await refuses('src', () => toBf16(new Uint16Array(2) as never), { code: 'WEFT_DTYPE' });
    await refuses('src', () => fromBf16(new Float32Array(2) as never), { code: 'WEFT_DTYPE' });
    await refuses(
      'src.hidden',
      () => dequantize({ hidden: new Uint16Array(2) as never, scales: new Float32Array(1) }, 2),
      {
        code: 'WEFT_DTYPE',
      },
    );
  });

  it('sizes that do not fit, and nothing is written', async () => {
    const out = new Uint16Array(3).fill(7);
    await refuses('out', () => toBf16(new Float32Array(4), out));
    expect([...out]).toEqual([7, 7, 7]);
    await refuses('out', () => fromBf16(new Uint16Array(4), new Float32Array(3)));
    await refuses('src', () => quantize(new Float32Array(7), 3));
    const rows = { hidden: new Uint8Array(260), scales: new Float32Array(3) };
    await refuses('src.scales', () => dequantize(rows, 130), {});
    await refuses('out', () => dequantize({ ...rows, scales: new Float32Array(4) }, 130, out as Uint16Array));
    expect([...out]).toEqual([7, 7, 7]);
    for (const hidden of [0, -1, 1.5, Number.NaN, '3', undefined])
      await refuses('hidden', () => quantize(new Float32Array(3), hidden as never));
  });
});
