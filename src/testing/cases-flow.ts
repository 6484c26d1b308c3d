import { deepEqual, equal, ok } from 'node:assert/strict';
import type { AttentionRound } from '../afd/attention-round.js';
import type { FfnBatch } from '../afd/ffn-batch.js';
import type { JoinOptions } from '../mesh/join.js';
import type { Tensor } from '../tensor/tensor.js';
import type { Cases } from './cases.js';
import { untilClaimable } from './claimable.js';
import { expectedResult } from './contents.js';
import { checkResult, driveAttention, driveFfn } from './drive.js';
import { claimRound, fillRows } from './fill.js';
import { rejects } from './rejects.js';
import { openRig, type Rig } from './rig.js';
import { play } from './run.js';
import { same } from './same.js';
import { factsOf, type Scenario } from './scenario.js';

type Join = Partial<JoinOptions>;
const base = { hidden: 40, maxTokens: 6 };

/** Rounds in flight, what a batch gathers, and where results go. */
export const flowCases: Cases = (join) => [
  ...(['oldest', 'newest', 'any'] as const).flatMap((order) =>
    [2, 3, 9].map((depth) => ({
      name: `${depth} rounds in flight, combined ${order} first`,
      run: () =>
        play(
          { attention: 2, ffn: 2, rounds: 4 * depth, layout: { ...base, depth } },
          { join, attention: { inFlight: depth, order } },
        ),
    })),
  ),
  {
    name: 'rounds combined all at once; results stay until their slots are claimed again',
    run: () => atOnce(join),
  },
  { name: 'a slot in flight is busy', run: () => busy(join) },
  { name: 'slots and rounds that are given up', run: () => abandoned(join) },
  { name: 'results into bf16 and f32 tensors', run: () => intoTensors(join) },
  { name: 'a batch of whoever is ready, of all, of so many', run: () => gathers(join) },
  { name: 'a batch as one block', run: () => contiguous(join) },
];

/** Dispatches a round of an attention rank, whose contents follow from the scenario. */
function dispatch(rig: Rig, scenario: Scenario, rank: number, generation: number): AttentionRound {
  const facts = factsOf(scenario);
  const slot = claimRound(rig.attention[rank]!.attention, facts, rank, generation);
  fillRows(slot, facts, rank, 0, slot.tokens);
  return slot.dispatch();
}

/** The FFN ranks at work, until `body` is through and the attention ranks have left. */
async function whileServed(rig: Rig, scenario: Scenario, body: () => Promise<void>): Promise<void> {
  const work = async (): Promise<void> => {
    try {
      await body();
    } finally {
      for (const mesh of rig.attention) await mesh.close();
    }
  };
  await Promise.all([work(), ...rig.ffn.map((mesh) => driveFfn(mesh, scenario))]);
}

async function atOnce(join: Join): Promise<void> {
  const scenario: Scenario = { attention: 1, ffn: 2, rounds: 8, layout: { ...base, depth: 4 } };
  await using rig = await openRig(scenario, join);
  await whileServed(rig, scenario, async () => {
    for (let first = 1; first <= scenario.rounds; first += 4) {
      const rounds = [0, 1, 2, 3].map((i) => dispatch(rig, scenario, 0, first + i));
      const results: Tensor[] = await Promise.all(rounds.map((round) => round.combine()));
      for (const [i, result] of results.entries())
        checkResult(rig.attention[0]!, scenario, first + i, result);
      for (const round of rounds) await rejects(round.combine(), 'WEFT_STATE', { phase: 'combine' });
    }
  });
}

async function busy(join: Join): Promise<void> {
  const scenario: Scenario = { attention: 1, ffn: 1, rounds: 5, layout: { ...base, depth: 2 } };
  await using rig = await openRig(scenario, join);
  await whileServed(rig, scenario, async () => {
    const { attention } = rig.attention[0]!;
    const first = dispatch(rig, scenario, 0, 1);
    const second = dispatch(rig, scenario, 0, 2);
    const error = await rejects(() => attention.claim({ tokens: 1 }), 'WEFT_SLOT_BUSY', { phase: 'claim' });
    deepEqual(error.details, { depth: 2 });
    // Slots are taken in turn: the newer round's does not help.
    checkResult(rig.attention[0]!, scenario, 2, await second.combine());
    await rejects(() => attention.claim({ tokens: 1 }), 'WEFT_SLOT_BUSY');
    checkResult(rig.attention[0]!, scenario, 1, await first.combine());
    for (let generation = 3; generation <= scenario.rounds; generation++)
      checkResult(
        rig.attention[0]!,
        scenario,
        generation,
        await dispatch(rig, scenario, 0, generation).combine(),
      );
  });
}

async function abandoned(join: Join): Promise<void> {
  const scenario: Scenario = { attention: 1, ffn: 2, rounds: 9, layout: { ...base, depth: 2 } };
  await using rig = await openRig(scenario, join);
  const mesh = rig.attention[0]!;
  await whileServed(rig, scenario, async () => {
    for (let generation = 1; generation <= scenario.rounds; generation++) {
      const unused = mesh.attention.claim({ tokens: 3 });
      unused.abandon();
      await rejects(() => unused.dispatch(), 'WEFT_STATE');
      await rejects(() => unused.abandon(), 'WEFT_STATE');
      const round = dispatch(rig, scenario, 0, generation);
      if (generation % 3 === 0) {
        round.abandon();
        await rejects(round.combine(), 'WEFT_STATE', { phase: 'combine' });
        await untilClaimable(mesh);
      } else checkResult(mesh, scenario, generation, await round.combine());
    }
  });
}

async function intoTensors(join: Join): Promise<void> {
  const scenario: Scenario = { attention: 1, ffn: 3, rounds: 6, layout: base };
  await using rig = await openRig(scenario, join);
  const mesh = rig.attention[0]!;
  const room = [base.maxTokens + 2, base.hidden];
  await whileServed(rig, scenario, async () => {
    for (let generation = 1; generation <= scenario.rounds; generation++) {
      const dtype = generation % 2 === 0 ? 'f32' : 'bf16';
      const into = mesh.tensor(dtype, room);
      into.data.fill(77);
      const result = await dispatch(rig, scenario, 0, generation).combine({ into });
      equal(result.dtype, dtype);
      equal(result.data.byteOffset, into.data.byteOffset);
      const place = { rank: 0, generation };
      same('the result', result.data, expectedResult(factsOf(scenario), 3, place, { dtype }));
      ok(into.data.subarray(result.data.length).every((x) => x === 77));
      mesh.free(into);
    }
  });
}

async function gathers(join: Join): Promise<void> {
  const scenario: Scenario = { attention: 3, ffn: 1, rounds: 3, layout: base };
  await using rig = await openRig(scenario, join);
  const { ffn } = rig.ffn[0]!;
  const ranks = (batch: FfnBatch | undefined): number[] =>
    batch!.parts.map((part) => part.rank).sort((a, b) => a - b);
  const finish = async (batch: FfnBatch | undefined, rounds: AttentionRound[]): Promise<void> => {
    batch!.reply();
    await Promise.all(rounds.map((round) => round.combine()));
  };

  const one = dispatch(rig, scenario, 1, 1);
  const any = await ffn.next({ gather: 'any' });
  deepEqual(ranks(any), [1]);
  await finish(any, [one]);

  const waiting = ffn.next({ gather: 'all' });
  const first = [dispatch(rig, scenario, 0, 1), dispatch(rig, scenario, 1, 2)];
  const third = await Promise.race([waiting, new Promise((resolve) => setTimeout(resolve, 50))]);
  equal(third, undefined, "'all' waits for every rank");
  first.push(dispatch(rig, scenario, 2, 1));
  const all = await waiting;
  deepEqual(ranks(all), [0, 1, 2]);
  await finish(all, first);

  const two = [dispatch(rig, scenario, 0, 2), dispatch(rig, scenario, 2, 2)];
  const atLeast = await ffn.next({ gather: { atLeast: 2, withinMs: 60_000 } });
  deepEqual(ranks(atLeast), [0, 2]);
  await finish(atLeast, two);

  const late = [dispatch(rig, scenario, 0, 3)];
  const start = performance.now();
  const within = await ffn.next({ gather: { atLeast: 3, withinMs: 40 } });
  ok(performance.now() - start >= 30, 'waits for the others for a while');
  deepEqual(ranks(within), [0]);
  await finish(within, late);
}

async function contiguous(join: Join): Promise<void> {
  const layout: Scenario['layout'] = {
    ...base,
    experts: { count: 6, topK: 2 },
    dispatch: { mode: 'routed' },
    columns: [{ name: 'id', dtype: 'u32', width: 1 }],
  };
  const scenario: Scenario = { attention: 2, ffn: 2, rounds: 5, layout };
  await using rig = await openRig(scenario, join);
  const serve = async (rank: number): Promise<void> => {
    for await (const batch of rig.ffn[rank]!.ffn.batches({ gather: 'all' })) {
      const hidden = batch.contiguous();
      const ids = batch.contiguous('id', new Uint32Array(batch.rows + 3));
      equal(hidden.length, batch.rows * base.hidden);
      let row = 0;
      for (const part of batch.parts)
        for (const at of part.rowOf) {
          same('a row', hidden.subarray(row * base.hidden, (row + 1) * base.hidden), rowOf(part.hidden, at));
          equal(ids[row], part.column('id')[at]);
          row++;
        }
      equal(row, batch.rows);
      batch.replyFrom(hidden);
      await rejects(() => batch.contiguous(), 'WEFT_STATE');
      await rejects(() => batch.replyFrom(hidden), 'WEFT_STATE');
    }
  };
  await Promise.all([
    serve(0),
    serve(1),
    ...rig.attention.map(async (mesh) => {
      // The replies are not what the workload expects, so results are only waited for.
      await driveAttention(mesh, scenario, { check: false });
      await mesh.close();
    }),
  ]);
}

function rowOf<T extends { subarray(from: number, to: number): T }>(array: T, row: number): T {
  return array.subarray(row * base.hidden, (row + 1) * base.hidden);
}
