/** Expert-parallel ranks of the engine, all in this process, over a mesh of the library. */
import { startCoordinator } from 'tensorweft';
import { describe, expect, it } from 'vitest';
import { EpShare } from '../../../examples/moe-engine/ep-share.js';
import { type ExpertPlaces, PlaceRunner } from '../../../examples/moe-engine/expert-places.js';
import type { RankJob, RankReport } from '../../../examples/moe-engine/job.js';
import { join } from '../../../examples/moe-engine/join.js';
import { readExperts } from '../../../examples/moe-engine/model/weights.js';
import {
  expertParallel,
  MATRIX_SHAPES,
  type Split,
  splitName,
} from '../../../examples/moe-engine/options.js';
import { placeExperts } from '../../../examples/moe-engine/placement.js';
import { generate } from '../../../examples/moe-engine/reference.js';
import { firstDifference } from '../../../examples/moe-engine/verify.js';
import { SMALL, withWeights } from './model.js';

const BASE: Split = {
  attention: 2,
  ffn: 2,
  ep: false,
  transport: 'shm',
  dispatch: 'bf16',
  mode: 'routed',
  combine: 'weighted',
  microBatches: 3,
  maxTokens: 8,
  deadlineMs: 10_000,
};
/** They end at different times, and a fourth rank has none at all. */
const TEXTS = ['w', 'the second is the longest of them all', 'last'];
const PROMPTS = TEXTS.map((text, id) => ({ id, text, tokens: 2 + 4 * id }));

/** A share of the model for each rank, side by side, as `ep-rank.ts` has one in a process. */
async function runRanks(split: Split, shares: readonly EpShare[]): Promise<RankReport[]> {
  const coordinator = await startCoordinator({ ep: split.ffn });
  const { url, token } = coordinator;
  const { signal } = new AbortController();
  try {
    return await Promise.all(
      shares.map(async (share, rank) => {
        const prompts = PROMPTS.filter(({ id }) => id % split.attention === rank);
        const job: RankJob = { coordinator: url, weights: '', rank, split, prompts };
        const context = { job, token, signal, note: () => {} };
        await using mesh = await join('ep', SMALL, context);
        return await share.run(mesh.ep, context);
      }),
    );
  } finally {
    await coordinator.close();
  }
}

describe('expert-parallel ranks', () => {
  it.each([
    ['bf16', 'weighted', 'shm', 3, 3, 8],
    ['fp8', 'weighted', 'tcp', 4, 2, 5],
    ['bf16', 'sum', 'shm', 4, 4, 1],
    ['fp8', 'sum', 'tcp', 2, 3, 64],
    ['bf16', 'sum', 'shm', 1, 2, 8],
  ] as const)(
    '%s %s %s: %d ranks with %d micro-batches of %d rows are the one process',
    async (dispatch, combine, transport, ranks, microBatches, maxTokens) => {
      const shape = expertParallel(ranks);
      const split = { ...BASE, ...shape, dispatch, combine, transport, microBatches, maxTokens };
      const { expected, shares } = withWeights(3, (file) => ({
        expected: generate(file, PROMPTS, { ...split, placement: placeExperts(SMALL, ranks) }).generations,
        shares: Array.from({ length: ranks }, (_, rank) => new EpShare(file, SMALL, { split, rank })),
      }));
      const reports = await runRanks(split, shares);
      const got = reports.flatMap(({ attention }) => attention!.generations).sort((a, b) => a.id - b.id);
      expect(firstDifference(expected, got)).toBeUndefined();

      // In step to the end: as many rounds dispatched and served by everyone, and every row at its experts.
      const rounds = reports.flatMap(({ attention, ffn }) => [attention!.rounds, ffn!.rounds]);
      expect(new Set(rounds).size).toBe(1);
      const rows = reports.reduce((sum, { attention }) => sum + attention!.rows, 0);
      const selections = reports.reduce((sum, { ffn }) => sum + ffn!.selections, 0);
      expect(selections).toBe(rows * (SMALL.topK + 1));
    },
  );

  it('refuses an expert that the rank does not hold', () => {
    const batch: ExpertPlaces = {
      experts: Int32Array.of(0, 2),
      counts: Uint32Array.of(0, 1),
      begins: Uint32Array.of(0, 0),
      source: Uint32Array.of(0),
      row: Uint32Array.of(0),
      output: new Uint16Array(SMALL.hidden),
      parts: [{ rank: 0, hidden: new Uint16Array(SMALL.hidden), scales: new Float32Array(0) }],
    };
    withWeights(1, (file) => {
      const runner = new PlaceRunner(SMALL, readExperts(file, SMALL, [0, 1]), { maxTokens: 1, attention: 1 });
      expect(() => runner.run(batch, 0)).toThrow(/expert 2 of layer 0 is not held/);
    });
  });
});

describe('splits', () => {
  it('are named by their shape', () => {
    expect(splitName({ ...BASE, attention: 3, dispatch: 'fp8' })).toBe('3x2 shm fp8 routed weighted');
    expect(splitName({ ...BASE, ...expertParallel(3), dispatch: 'fp8' })).toBe('ep3 shm fp8 weighted');
    const names = MATRIX_SHAPES.map((shape) => splitName({ ...BASE, ...shape }));
    expect(new Set(names).size).toBe(7);
    expect(names.filter((name) => name.startsWith('ep'))).toHaveLength(2);
  });
});
