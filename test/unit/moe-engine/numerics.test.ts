import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  bf16Bits,
  bf16Value,
  dequantizeRow,
  E4M3_VALUE,
  e4m3Bits,
  quantizeRow,
  scalesPerRow,
} from '../../../examples/moe-engine/model/numerics.js';

const ALL_BF16 = Array.from({ length: 65_536 }, (_, code) => code);

/** The nearest code by looking at all of them; of two equally near the one with an even last bit. Saturates. */
function nearestE4m3(x: number): number {
  if (Number.isNaN(x)) return 0x7f;
  let best = 0;
  for (let code = 1; code < 0x7f; code++) {
    const distance = Math.abs(E4M3_VALUE[code]! - Math.abs(x));
    const least = Math.abs(E4M3_VALUE[best]! - Math.abs(x));
    if (distance < least || (distance === least && code % 2 === 0)) best = code;
  }
  return best;
}

describe('bf16', () => {
  it('keeps every bf16 value, and makes NaN quiet', () => {
    for (const code of ALL_BF16) {
      const nan = (code & 0x7fff) > 0x7f80;
      expect(bf16Bits(bf16Value(code))).toBe(nan ? code | 0x40 : code);
    }
  });

  it('rounds to the nearest of the two neighbours, ties to even', () => {
    const anyFloat = fc.float({
      noNaN: true,
      noDefaultInfinity: true,
      min: Math.fround(-3e38),
      max: Math.fround(3e38),
    });
    fc.assert(
      fc.property(anyFloat, (x) => {
        const code = bf16Bits(x);
        const error = Math.abs(bf16Value(code) - x);
        for (const other of [code - 1, code + 1].filter(
          (c) => (c & 0x7fff) <= 0x7f80 && c >= 0 && c <= 0xffff,
        )) {
          const otherError = Math.abs(bf16Value(other) - x);
          expect(error < otherError || (error === otherError && code % 2 === 0)).toBe(true);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it.each([
    [1 + 2 ** -8, 0x3f80],
    [1 + 3 * 2 ** -8, 0x3f82],
    [-0, 0x8000],
    [3.4e38, 0x7f80],
    [Number.POSITIVE_INFINITY, 0x7f80],
  ])('rounds %d to %d', (x, code) => {
    expect(bf16Bits(x)).toBe(code);
  });
});

describe('e4m3', () => {
  it('has the values of the format', () => {
    expect([0x00, 0x01, 0x07, 0x08, 0x38, 0x7e, 0xb8].map((code) => E4M3_VALUE[code])).toEqual([
      0,
      2 ** -9,
      7 * 2 ** -9,
      2 ** -6,
      1,
      448,
      -1,
    ]);
    expect(E4M3_VALUE[0x7f]).toBeNaN();
  });

  it('is the nearest code for every bf16 value', () => {
    const wrong = ALL_BF16.filter((code) => {
      const sign = (code >>> 8) & 0x80;
      return e4m3Bits(bf16Value(code)) !== (sign | nearestE4m3(bf16Value(code)));
    });
    expect(wrong).toEqual([]);
  });

  it('rounds ties of every pair of neighbours to the even one', () => {
    for (let code = 0; code < 0x7e; code++) {
      const middle = (E4M3_VALUE[code]! + E4M3_VALUE[code + 1]!) / 2;
      expect(e4m3Bits(middle)).toBe(code % 2 === 0 ? code : code + 1);
    }
  });
});

describe('quantisation of a row', () => {
  it('scales each group of 128 channels, a short last one too', () => {
    const hidden = 130;
    const row = Uint16Array.from({ length: hidden }, (_, i) => bf16Bits(i < 128 ? i / 16 : 1000 * (i - 128)));
    const codes = new Uint8Array(hidden);
    const scales = new Float32Array(scalesPerRow(hidden));
    quantizeRow(row, codes, scales);
    const inverse = Math.fround(1 / 448);
    expect([...scales]).toEqual([Math.fround((127 / 16) * inverse), Math.fround(1000 * inverse)]);
    expect([codes[0], codes[127], codes[128], codes[129]]).toEqual([0, 0x7e, 0, 0x7e]);
  });

  it('does not divide by zero, and comes back within half a step', () => {
    fc.assert(
      fc.property(
        fc.array(fc.float({ min: -8, max: 8, noNaN: true }), { minLength: 1, maxLength: 300 }),
        (values) => {
          const row = Uint16Array.from(values, bf16Bits);
          const codes = new Uint8Array(row.length);
          const scales = new Float32Array(scalesPerRow(row.length));
          const back = new Float32Array(row.length);
          quantizeRow(row, codes, scales);
          dequantizeRow(codes, scales, back);
          for (const [i, code] of row.entries()) {
            const x = bf16Value(code);
            const scale = scales[Math.floor(i / 128)]!;
            expect(Math.abs(back[i]! - x)).toBeLessThanOrEqual(
              Math.max(Math.abs(x) / 16, scale * 2 ** -10) * 1.0001,
            );
          }
        },
      ),
    );
    const zeros = new Float32Array(2);
    quantizeRow(new Uint16Array(256), new Uint8Array(256), zeros);
    expect(zeros[0]).toBe(Math.fround(Math.fround(1e-4) * Math.fround(1 / 448)));
  });
});
