import type { Cases } from './cases.js';
import { play } from './run.js';
import type { Scenario } from './scenario.js';

const SHAPES: [attention: number, ffn: number][] = [
  [1, 1],
  [2, 2],
  [3, 2],
  [2, 3],
  [1, 4],
  [4, 1],
];
const experts = { count: 12, topK: 3 };
const base = { hidden: 72, maxTokens: 7 };

/** M x N, every way to dispatch with every way to combine. */
export const shapeCases: Cases = (join) =>
  SHAPES.flatMap(([attention, ffn]) => {
    const mesh = { attention, ffn, rounds: 9 };
    const ways: [name: string, layout: Scenario['layout']][] = [
      ['every row to all, sum', base],
      ['every row to all, weighted', { ...base, experts, combine: 'weighted' }],
      ['rows by their experts, sum', { ...base, experts, dispatch: { mode: 'routed' } }],
      [
        'rows by their experts, weighted',
        { ...base, experts, dispatch: { mode: 'routed' }, combine: 'weighted' },
      ],
      [
        'rows by their experts, free replies',
        { ...base, experts, dispatch: { mode: 'routed' }, combine: 'none' },
      ],
    ];
    return ways.map(([way, layout], seed) => ({
      name: `${attention}x${ffn}: ${way}`,
      run: () => play({ ...mesh, layout, seed }, { join }),
    }));
  });
