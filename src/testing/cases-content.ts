import { equal } from 'node:assert/strict';
import type { Cases } from './cases.js';
import { play } from './run.js';

const mesh = { attention: 2, ffn: 2, rounds: 8 };
const experts = { count: 8, topK: 2 };

/** Row types, sizes and what rides with the rows. */
export const contentCases: Cases = (join) => [
  ...(['bf16', 'fp8e4m3', 'f32'] as const).flatMap((dtype) =>
    // One channel; less than a group of scales; groups with a shorter last one.
    [1, 100, 300].map((hidden, seed) => ({
      name: `rows of ${dtype}, ${hidden} channels`,
      run: () => play({ ...mesh, seed, layout: { hidden, maxTokens: 5, dispatch: { dtype } } }, { join }),
    })),
  ),
  {
    name: 'scales that are powers of two',
    run: () =>
      play(
        {
          ...mesh,
          layout: { hidden: 200, maxTokens: 5, dispatch: { dtype: 'fp8e4m3', powerOfTwoScales: true } },
        },
        { join },
      ),
  },
  {
    name: 'rows of bytes',
    run: () =>
      play(
        { ...mesh, layout: { hidden: 77, maxTokens: 9, dispatch: { dtype: 'u8' }, combine: 'none' } },
        { join },
      ),
  },
  {
    name: 'extra columns of every type',
    run: () =>
      play(
        {
          ...mesh,
          layout: {
            hidden: 33,
            maxTokens: 6,
            experts,
            dispatch: { mode: 'routed', dtype: 'fp8e4m3' },
            combine: 'weighted',
            columns: [
              { name: 'byte', dtype: 'u8', width: 3 },
              { name: 'signed', dtype: 'i32', width: 1 },
              { name: 'unsigned', dtype: 'u32', width: 2 },
              { name: 'float', dtype: 'f32', width: 5 },
              { name: 'brain', dtype: 'bf16', width: 7 },
              { name: 'eight', dtype: 'fp8e4m3', width: 129 },
            ],
          },
        },
        { join },
      ),
  },
  ...[0, 1, 255, 65_535].map((metaBytes) => ({
    name: `metadata of up to ${metaBytes} bytes`,
    run: () => play({ ...mesh, layout: { hidden: 8, maxTokens: 3, metaBytes } }, { join }),
  })),
  {
    name: 'experts that are placed by hand, one rank with none',
    run: () =>
      play(
        {
          attention: 2,
          ffn: 3,
          rounds: 8,
          layout: {
            hidden: 40,
            maxTokens: 9,
            experts: { count: 6, topK: 6, placement: [2, 0, 0, 2, 2, 0] },
            dispatch: { mode: 'routed' },
            combine: 'weighted',
          },
        },
        { join },
      ),
  },
  {
    name: 'rounds larger than any buffer between',
    run: async () => {
      let bytes = 0;
      const onResult = (_: number, result: unknown): void => {
        bytes = Math.max(bytes, (result as { bytes: number }).bytes);
      };
      const layout = { hidden: 7168, maxTokens: 64, depth: 2 };
      await play({ attention: 1, ffn: 1, rounds: 3, layout }, { join, attention: { onResult, inFlight: 2 } });
      equal(bytes, 2 * 7168 * 64);
    },
  },
];
