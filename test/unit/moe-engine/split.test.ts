/** The two halves of the split engine, put together in one process: rows are handed over as arrays, nothing is sent. */
import { describe, expect, it } from 'vitest';
import { type ExpertRows, ExpertRunner } from '../../../examples/moe-engine/expert-rows.js';
import {
  decodeRequestIds,
  encodeRequestIds,
  layerOf,
  roundTag,
  sourceWorks,
} from '../../../examples/moe-engine/layout.js';
import { MicroBatch } from '../../../examples/moe-engine/micro-batch.js';
import { expertCount, selectionsPerToken } from '../../../examples/moe-engine/model/config.js';
import { Decoder } from '../../../examples/moe-engine/model/decoder.js';
import {
  bf16Bits,
  bf16Value,
  quantizeRow,
  scalesPerRow,
} from '../../../examples/moe-engine/model/numerics.js';
import type { SafetensorsFile } from '../../../examples/moe-engine/model/safetensors.js';
import { readDecoder, readExperts } from '../../../examples/moe-engine/model/weights.js';
import { expertsOf, placeExperts } from '../../../examples/moe-engine/placement.js';
import { generate } from '../../../examples/moe-engine/reference.js';
import type { Rounding } from '../../../examples/moe-engine/reference-moe.js';
import { type Generation, Request } from '../../../examples/moe-engine/request.js';
import { Scheduler } from '../../../examples/moe-engine/scheduler.js';
import { firstDifference } from '../../../examples/moe-engine/verify.js';
import { SMALL, withWeights } from './model.js';

const { hidden } = SMALL;
const WIDTH = selectionsPerToken(SMALL);
const TEXTS = ['w', 'weft and warp', 'the third is the longest of them all', 'last'];
const PROMPTS = TEXTS.map((text, id) => ({ id, text, tokens: 6 + id }));

interface Round {
  readonly rows: number;
  readonly payload: Uint16Array | Uint8Array;
  readonly scales: Float32Array;
  readonly experts: Int32Array;
  readonly weights: Float32Array;
}

/** What rank `rank` is handed of a round, with its views in place of arena memory. */
function partOf(round: Round, rounding: Rounding, rank: number): ExpertRows {
  const chosen: { row: number; expert: number; k: number }[] = [];
  for (let row = 0; row < round.rows; row++) {
    for (let k = 0; k < WIDTH; k++) {
      const expert = round.experts[row * WIDTH + k]!;
      if (rounding.placement[expert] === rank) chosen.push({ row, expert, k });
    }
  }
  const all = Array.from({ length: round.rows }, (_, row) => row);
  const taken = rounding.mode === 'all' ? all : [...new Set(chosen.map(({ row }) => row))];
  return {
    rows: taken.length,
    rowOf: Uint32Array.from(taken),
    hidden: round.payload,
    scales: round.scales,
    weights: round.weights,
    selections: {
      count: chosen.length,
      row: Uint32Array.from(chosen, ({ row }) => row),
      expert: Int32Array.from(chosen, ({ expert }) => expert),
      k: Uint32Array.from(chosen, ({ k }) => k),
    },
    output: new Uint16Array((rounding.combine === 'sum' ? taken.length : chosen.length) * hidden),
  };
}

/** The combine, straight from its definition. */
function combine(round: Round, parts: readonly ExpertRows[], rounding: Rounding): Uint16Array {
  const out = new Uint16Array(round.rows * hidden);
  for (let row = 0; row < round.rows; row++) {
    for (let c = 0; c < hidden; c++) {
      const terms: number[] = [];
      if (rounding.combine === 'sum') {
        for (const part of parts) {
          const i = part.rowOf.indexOf(row);
          if (i >= 0) terms.push(bf16Value(part.output[i * hidden + c]!));
        }
      } else {
        for (let k = 0; k < WIDTH; k++) {
          for (const { selections, output } of parts) {
            const s = selections.row.findIndex((r, n) => r === row && selections.k[n] === k);
            if (s < 0) continue;
            terms.push(Math.fround(round.weights[row * WIDTH + k]! * bf16Value(output[s * hidden + c]!)));
          }
        }
      }
      out[row * hidden + c] = bf16Bits(terms.reduce((sum, term) => Math.fround(sum + term)));
    }
  }
  return out;
}

/** Generates PROMPTS through micro-batches and ranks of experts. */
function generateSplit(
  file: SafetensorsFile,
  rounding: Rounding,
  ffn: number,
  maxTokens: number,
): Generation[] {
  const decoder = new Decoder(SMALL, readDecoder(file, SMALL), maxTokens);
  const runners = Array.from({ length: ffn }, (_, rank) => {
    const experts = readExperts(file, SMALL, expertsOf(rounding.placement, rank));
    return new ExpertRunner(SMALL, experts, { maxTokens, combine: rounding.combine });
  });
  const scheduler = new Scheduler(
    PROMPTS.map((prompt) => new Request(prompt, SMALL)),
    3,
    maxTokens,
  );
  const batches = [0, 1, 2].map((index) => new MicroBatch(index, decoder, maxTokens));
  const done: Generation[] = [];
  while (scheduler.unfinished > 0) {
    for (const batch of batches) {
      if (batch.stepOver) batch.begin(scheduler);
      expect(batch.rows).toBeLessThanOrEqual(maxTokens);
      const x = new Uint16Array(maxTokens * hidden);
      const experts = new Int32Array(maxTokens * WIDTH);
      const weights = new Float32Array(maxTokens * WIDTH);
      batch.attend(x, { logits: new Float32Array(maxTokens * SMALL.routedExperts), experts, weights });
      const round = { rows: batch.rows, ...payload(x, rounding), experts, weights };
      const parts = runners.map((runner, rank) => {
        const part = partOf(round, rounding, rank);
        runner.run(part, batch.layer);
        return part;
      });
      done.push(
        ...batch.absorb(combine(round, parts, rounding), scheduler).map((request) => request.result()),
      );
    }
  }
  return done.sort((a, b) => a.id - b.id);
}

function payload(x: Uint16Array, { dispatch }: Rounding): Pick<Round, 'payload' | 'scales'> {
  if (dispatch === 'bf16') return { payload: x, scales: new Float32Array(0) };
  const codes = new Uint8Array(x.length);
  const perRow = scalesPerRow(hidden);
  const scales = new Float32Array((x.length / hidden) * perRow);
  for (let row = 0; row * hidden < x.length; row++) {
    const at = row * hidden;
    quantizeRow(x.subarray(at, at + hidden), codes.subarray(at, at + hidden), scales.subarray(row * perRow));
  }
  return { payload: codes, scales };
}

describe('micro-batches and experts by rank', () => {
  it.each([
    ['bf16', 'weighted', 'routed', 2, 8],
    ['fp8', 'weighted', 'routed', 3, 5],
    ['bf16', 'weighted', 'all', 1, 3],
    ['bf16', 'sum', 'routed', 3, 8],
    ['fp8', 'sum', 'all', 4, 64],
    ['bf16', 'sum', 'routed', 1, 1],
  ] as const)(
    '%s %s %s over %d ranks with %d rows a round are the one process',
    (dispatch, combine, mode, ffn, maxTokens) => {
      const rounding = { dispatch, combine, mode, placement: placeExperts(SMALL, ffn) };
      withWeights(3, (file) => {
        const expected = generate(file, PROMPTS, rounding).generations;
        expect(firstDifference(expected, generateSplit(file, rounding, ffn, maxTokens))).toBeUndefined();
      });
    },
  );

  it('refuses an expert that the rank does not hold', () => {
    withWeights(1, (file) => {
      const round: Round = {
        rows: 1,
        payload: new Uint16Array(hidden),
        scales: new Float32Array(0),
        experts: Int32Array.of(0, 1, 2, 3, expertCount(SMALL) - 1),
        weights: new Float32Array(WIDTH),
      };
      const rounding: Rounding = {
        dispatch: 'bf16',
        combine: 'weighted',
        mode: 'routed',
        placement: placeExperts(SMALL, 1),
      };
      const runner = new ExpertRunner(SMALL, readExperts(file, SMALL, [0, 1]), {
        maxTokens: 1,
        combine: 'weighted',
      });
      expect(() => runner.run(partOf(round, rounding, 0), 0)).toThrow(/expert 2 of layer 0 is not held/);
    });
  });
});

describe('what a round carries', () => {
  it('names its layer and its requests, and tells whether there are more', () => {
    expect(layerOf(roundTag(65_535, 2, true))).toBe(65_535);
    expect(roundTag(1, 2, false)).toBe(0x1_0002);
    expect([true, false].map((working) => sourceWorks(roundTag(65_535, 63, working)))).toEqual([true, false]);
    const ids = [0, 7, 2 ** 31];
    const shifted = new Uint8Array([9, ...encodeRequestIds(ids)]).subarray(1); // a view that is not aligned
    expect(decodeRequestIds(shifted)).toEqual(ids);
  });
});
