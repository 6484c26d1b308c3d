import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Attention, type Place } from '../../../examples/moe-engine/model/attention.js';
import { KvCache } from '../../../examples/moe-engine/model/kv-cache.js';
import { dot } from '../../../examples/moe-engine/model/math.js';
import { random } from '../../../examples/moe-engine/model/prng.js';
import { Rope } from '../../../examples/moe-engine/model/rope.js';
import { readDecoder } from '../../../examples/moe-engine/model/weights.js';
import { SMALL, withWeights } from './model.js';

function noise(count: number, label: string): Float32Array {
  const next = random(7, label);
  return Float32Array.from({ length: count }, () => next() - 0.5);
}

describe('RoPE', () => {
  const config = { headDim: 16, maxContext: 512, ropeTheta: 10_000 };
  const rope = new Rope(config);
  const position = fc.integer({ min: 0, max: 255 });

  it('makes scores depend on the distance of two positions alone', () => {
    fc.assert(
      fc.property(position, position, position, (a, b, shift) => {
        const score = (queryAt: number, keyAt: number): number => {
          const query = noise(16, 'query');
          const key = noise(16, 'key');
          rope.rotate(query, 0, 1, queryAt);
          rope.rotate(key, 0, 1, keyAt);
          return dot(query, 0, key, 0, 16);
        };
        expect(score(a + shift, b + shift)).toBeCloseTo(score(a, b), 5);
      }),
    );
  });

  it('keeps lengths, and position 0 as it is', () => {
    const x = noise(32, 'x');
    const before = dot(x, 0, x, 0, 32);
    rope.rotate(x, 0, 2, 0);
    expect([...x]).toEqual([...noise(32, 'x')]);
    rope.rotate(x, 0, 2, 300);
    expect(dot(x, 0, x, 0, 32)).toBeCloseTo(before, 5);
  });
});

describe('attention', () => {
  const rows = 9;
  const layer = 1;
  const { hidden } = SMALL;

  /** Hidden states after attention, with the rows given in chunks of these sizes. */
  function attend(chunks: readonly number[]): number[] {
    return withWeights(1, (file) => {
      const weights = readDecoder(file, SMALL).layers[layer]!.attention;
      const attention = new Attention(SMALL, rows);
      const cache = new KvCache(SMALL, rows);
      const h = noise(rows * hidden, 'h');
      let position = 0;
      for (const chunk of chunks) {
        const places: Place[] = Array.from({ length: chunk }, (_, i) => ({ cache, position: position + i }));
        attention.run(h.subarray(position * hidden), places, layer, weights);
        position += chunk;
      }
      return [...h];
    });
  }

  it('with a cache, row by row, is the same bits as all rows at once', () => {
    const whole = attend([rows]);
    expect(attend(Array(rows).fill(1))).toEqual(whole);
    expect(attend([4, 1, 0, 4])).toEqual(whole);
    expect(whole).not.toEqual([...noise(rows * hidden, 'h')]);
  });

  it('refuses a position beyond its cache', () => {
    const cache = new KvCache(SMALL, 2);
    const row = new Float32Array(cache.width);
    expect(() => cache.put(0, 2, row, row, 0)).toThrow(/position 2 does not fit 2/);
  });
});
