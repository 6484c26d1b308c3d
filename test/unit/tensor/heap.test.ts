import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DTYPES, elementBytes } from '../../../src/tensor/dtype.js';
import { Heap } from '../../../src/tensor/heap.js';
import type { Tensor } from '../../../src/tensor/tensor.js';
import { refuses } from '../../support/wrong.js';

const BASE = 4096;

function heapOf(bytes: number): Heap {
  return new Heap(new ArrayBuffer(BASE + bytes), BASE, bytes);
}

describe('the heap of tensors', () => {
  it.each(DTYPES)('gives a %s tensor of zeros, on a boundary of 128', (dtype) => {
    const heap = heapOf(1 << 16);
    heap.allocate('u8', [5]);
    const tensor = heap.allocate(dtype, [3, 7]);
    expect(tensor.shape).toEqual([3, 7]);
    expect(tensor.data.length).toBe(21);
    expect(tensor.bytes).toBe(21 * elementBytes(dtype));
    expect(tensor.data.byteOffset % 128).toBe(0);
    expect(tensor.data.every((x) => x === 0)).toBe(true);
    tensor.data.set([1, 2, 3], 7);
    expect([...tensor.row(1).subarray(0, 3)]).toEqual([1, 2, 3]);
    expect(String(tensor)).toContain(`Tensor ${dtype} [3, 7]`);
  });

  it('takes tensors without elements', () => {
    const heap = heapOf(1024);
    for (const shape of [[], [0], [4, 0]])
      expect(heap.allocate('f32', shape).data.length).toBe(shape.length ? 0 : 1);
  });

  it('gives memory again, zeroed, and does not keep the shape it was given', () => {
    const heap = heapOf(256);
    const shape = [32];
    const first = heap.allocate('f32', shape);
    shape[0] = 1;
    expect(first.shape).toEqual([32]);
    first.data.fill(3);
    expect(heap.free(first)).toBe(true);
    expect(heap.free(first)).toBe(false);
    expect(heap.owns(first)).toBe(false);
    const second = heap.allocate('f32', [60]);
    expect(second.data.byteOffset).toBe(first.data.byteOffset);
    expect(second.data.every((x) => x === 0)).toBe(true);
    expect(heap.owns(second)).toBe(true);
    expect(heapOf(256).owns(second)).toBe(false);
  });

  it('refuses what does not fit, with both sizes', async () => {
    const heap = heapOf(512);
    heap.allocate('u8', [200]);
    const error = await refuses('shape', () => heap.allocate('f32', [80]), {}).catch((e: unknown) => e);
    expect(String(error)).toContain('needs 384 bytes');
    expect(() => heap.allocate('f32', [80])).toThrowError(
      expect.objectContaining({ details: { argument: 'shape', bytes: 384, free: 256 } }),
    );
    expect(heap.allocate('u8', [256]).data.length).toBe(256);
    expect(() => heap.allocate('u8', [1])).toThrowError(/free\(\)/);
    expect(() => heap.allocate('u8', [2 ** 30, 2 ** 30])).toThrowError(/needs/);
  });

  it('refuses wrong types and shapes', async () => {
    const heap = heapOf(512);
    for (const dtype of ['f64', '', undefined, 3, '__proto__', 'toString'])
      await refuses('dtype', () => heap.allocate(dtype as never, [1]));
    for (const shape of [[-1], [1.5], [Number.NaN], ['1'], 4, null, undefined, 'x', { length: 1 }])
      await refuses('shape', () => heap.allocate('u8', shape as never));
    expect(heap.allocate('u8', [512]).data.length).toBe(512);
  });

  it('never gives the same memory twice, and gets all of it back', () => {
    const step = fc.record({ take: fc.boolean(), size: fc.integer({ min: 0, max: 900 }), which: fc.nat() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const heap = heapOf(8192);
        const live: Tensor[] = [];
        for (const [i, { take, size, which }] of steps.entries()) {
          if (take || live.length === 0) {
            try {
              const tensor = heap.allocate('u8', [size]);
              expect(tensor.data.every((x) => x === 0)).toBe(true);
              tensor.data.fill(1 + (i % 255));
              live.push(tensor);
            } catch {
              // Full.
            }
          } else heap.free(live.splice(which % live.length, 1)[0]!);
          // What one tensor was filled with is still there: nobody else has the memory.
          for (const { data } of live) expect(data.every((x) => x === data[0])).toBe(true);
          const places = live.map(({ data }) => [data.byteOffset, data.byteOffset + data.length] as const);
          places.sort(([a], [b]) => a - b);
          for (const [k, [, end]] of places.entries())
            expect(places[k + 1]?.[0] ?? end).toBeGreaterThanOrEqual(end);
        }
        for (const tensor of live) heap.free(tensor);
        expect(heap.allocate('u8', [8192]).data.length).toBe(8192);
      }),
    );
  });
});
