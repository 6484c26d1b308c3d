import { deepEqual, equal } from 'node:assert/strict';
import type { JoinOptions } from '../mesh/join.js';
import type { Cases } from './cases.js';
import {
  checkExpertResult,
  dispatchExperts,
  driveExperts,
  type ExpertWork,
  serveExperts,
} from './expert-drive.js';
import { dueRows, type ExpertScenario, expertFactsOf, REPLICATED } from './expert-scenario.js';
import { rejects } from './rejects.js';
import { openExpertRig } from './rig.js';

type Join = Partial<JoinOptions>;
const experts = { count: 7, topK: 3 };
const base = { hidden: 40, maxTokens: 6 };

/** Every rank with tokens and experts. */
export const expertCases: Cases = (join) => [
  ...(['bf16', 'fp8e4m3', 'f32', 'u8'] as const).flatMap((dtype) =>
    (['weighted', 'sum'] as const).map((combine) => ({
      name: `3 ranks, rows of ${dtype}, combine '${combine}'`,
      run: () =>
        play(
          { ranks: 3, rounds: 8, layout: { ...base, hidden: 200, dispatch: { dtype }, experts, combine } },
          {},
          join,
        ),
    })),
  ),
  ...[1, 2, 4].map((ranks) => ({
    name: `${ranks} ranks, 5 experts, metadata and columns`,
    run: () => play({ ranks, rounds: 9, layout: columns }, { inFlight: 2 }, join),
  })),
  ...[
    { packing: 'padded' as const, topK: 1 },
    { alignment: 4 },
    { placement: [[0, 1, 2], 1, [0, 2], 2, [1, 2], 0, [0, 1]] },
    { placement: [1, 1, 1, 1, 1, 1, 1] },
  ].map((more) => ({
    name: `3 ranks with ${JSON.stringify(more)}`,
    run: () => play({ ranks: 3, rounds: 8, layout: { ...base, experts: { ...experts, ...more } } }, {}, join),
  })),
  ...[2, 3, 7].map((depth) => ({
    name: `${depth} rounds in flight, dispatch and combine at the same time`,
    run: () =>
      play({ ranks: 3, rounds: 4 * depth, layout: { ...base, depth, experts } }, { inFlight: depth }, join),
  })),
  {
    name: 'rounds published in blocks, replies expert by expert',
    run: () =>
      play({ ranks: 3, rounds: 8, layout: { ...base, experts } }, { block: 2, byExpert: true }, join),
  },
  ...(['weighted', 'sum'] as const).flatMap((combine) =>
    [false, true].map((blocking) => ({
      name: `blocks of experts as they become complete, combine '${combine}'${blocking ? ', blocking' : ''}`,
      run: () =>
        play(
          { ranks: blocking ? 1 : 3, rounds: 8, layout: { ...base, experts, combine } },
          { block: 2, blocks: true, blocking },
          join,
        ),
    })),
  ),
  { name: 'a block is handed over when its last row has come', run: () => blocks(join) },
  ...(['error', 'skip'] as const).map((onPeerLoss) => ({
    name: `a rank leaves with rows of blocks missing: '${onPeerLoss}'`,
    run: () => unfinished(onPeerLoss, join),
  })),
  {
    name: "combine 'sum' of ranks that add up themselves",
    run: () =>
      play({ ranks: 3, rounds: 8, layout: { ...base, experts, combine: 'sum' } }, { sums: true }, join),
  },
  { name: 'waits of ranks end at their deadlines, and are waited for again', run: () => deadlines(join) },
  { name: 'a rank that leaves: every policy', run: () => leaves(join) },
  { name: 'a batch ends with its reply', run: () => ends(join) },
  { name: 'load is counted where rows come', run: () => loads(join) },
];

const columns = {
  ...base,
  experts: { count: 5, topK: 2 },
  metaBytes: 33,
  columns: [
    { name: 'ids', dtype: 'u32' as const, width: 3 },
    { name: 'flag', dtype: 'u8' as const, width: 1 },
  ],
};

/** All ranks in this process. */
async function play(scenario: ExpertScenario, work: ExpertWork, join: Join): Promise<void> {
  await using rig = await openExpertRig(scenario, join);
  equal(rig.ranks[0]!.explain().length, scenario.ranks - 1, 'a rank is no peer of its own to explain');
  await Promise.all(rig.ranks.map((mesh) => driveExperts(mesh, scenario, work)));
}

async function deadlines(join: Join): Promise<void> {
  const scenario: ExpertScenario = { ranks: 3, rounds: 2, layout: { ...base, experts } };
  await using rig = await openExpertRig(scenario, join);
  const [a, b, c] = rig.ranks;
  const facts = expertFactsOf(scenario);
  const collecting = await rejects(a!.ep.next({ deadlineMs: 20 }), 'WEFT_DEADLINE', { phase: 'collect' });
  equal((collecting.details!.waitingFor as unknown[]).length, 3);
  await rejects(() => a!.ep.nextSync({ deadlineMs: 20 }), 'WEFT_DEADLINE', { phase: 'collect' });
  const early = await Promise.all([a!, b!].map((mesh) => dispatchExperts(mesh, facts, 1)));
  const one = await rejects(a!.ep.next({ deadlineMs: 500 }), 'WEFT_DEADLINE', {
    phase: 'collect',
    peer: 'ep 2',
  });
  deepEqual(one.details!.waitingFor, [{ role: 'ep', rank: 2 }]);
  const rounds = [...early, await dispatchExperts(c!, facts, 1)];
  await serveExperts(a!, facts, 1);
  await serveExperts(b!, facts, 1);
  await rejects(rounds[0]!.combine({ deadlineMs: 20 }), 'WEFT_DEADLINE', { phase: 'combine', peer: 'ep 2' });
  deepEqual(rounds[0]!.missing, [{ role: 'ep', rank: 2 }]);
  const controller = new AbortController();
  const waiting = rounds[1]!.combine({ signal: controller.signal });
  controller.abort('enough');
  equal((await rejects(waiting, 'WEFT_ABORTED', { phase: 'combine' })).cause, 'enough');
  await serveExperts(c!, facts, 1);
  for (const [i, mesh] of rig.ranks.entries())
    checkExpertResult(mesh, facts, 1, (await rounds[i]!.combine()).data);
}

async function blocks(join: Join): Promise<void> {
  const layout = { hidden: 8, maxTokens: 4, experts: { count: 4, topK: 1 } };
  await using rig = await openExpertRig({ ranks: 2, layout }, join);
  const [a, b] = rig.ranks;
  // Rows 0 and 2 of rank 1 go to expert 0, row 1 to expert 1, both of rank 0.
  const slots = [a!.ep.claim({ tokens: 0 }), b!.ep.claim({ tokens: 4 })];
  slots[1]!.experts.set([0, 1, 0, 2]);
  slots[1]!.weights.fill(1);
  for (let i = 0; i < 32; i++) slots[1]!.hidden[i] = 0x3f80 + i;
  const rounds = slots.map((slot) => slot.begin());
  const batch = await a!.ep.next({ streamed: true });
  deepEqual([...batch.counts], [2, 1]);
  deepEqual([...batch.token], [0, 2, 1], 'where rows go is known when the round begins');
  const late = await rejects(batch.nextBlock({ deadlineMs: 20 }), 'WEFT_DEADLINE', { phase: 'collect' });
  deepEqual(late.details!.waitingFor, [{ role: 'ep', rank: 1 }]);
  await rejects(() => batch.expand(), 'WEFT_STATE', { phase: 'reply' });
  deepEqual([...(batch.expand('experts') as Int32Array)], [0, 0, 1], 'choices have come');
  const waiting = batch.nextBlock();
  await rejects(batch.nextBlock(), 'WEFT_STATE', { phase: 'collect' });
  await rejects(() => batch.reply(), 'WEFT_STATE', { phase: 'reply' });
  slots[1]!.publish(2);
  const first = (await waiting)!;
  deepEqual([first.index, first.expert, first.begin, first.rows], [1, 1, 2, 1]);
  deepEqual([...first.expand()], [...slots[1]!.hidden.subarray(8, 16)]);
  first.output.set(first.expand() as Uint16Array);
  first.publish();
  await rejects(() => batch.nextBlockSync({ deadlineMs: 20 }), 'WEFT_DEADLINE', { phase: 'collect' });
  const controller = new AbortController();
  const aborted = rejects(batch.nextBlock({ signal: controller.signal }), 'WEFT_ABORTED', {
    phase: 'collect',
  });
  controller.abort();
  await aborted;
  slots[1]!.publish(4);
  for await (const block of batch.blocks()) {
    equal(block.index, 0, 'each block is handed out once');
    block.output.set(block.expand() as Uint16Array);
    block.publish();
  }
  equal(batch.isOpen, false, 'the last block ends the batch');
  equal(await batch.nextBlock(), undefined);
  const other = await b!.ep.next({ streamed: true });
  equal(other.parts[1]!.waitedUs >= 0, true);
  for (let block = other.nextBlockSync(); block !== undefined; block = other.nextBlockSync())
    block.output.set(block.expand() as Uint16Array);
  other.reply();
  equal((await rounds[0]!.combine()).data.length, 0);
  deepEqual([...(await rounds[1]!.combine()).data], [...slots[1]!.hidden]);
  deepEqual([...rounds[1]!.waitedUs].map(Number.isFinite), [true, true]);
}

async function unfinished(onPeerLoss: 'error' | 'skip', join: Join): Promise<void> {
  const layout = { hidden: 8, maxTokens: 2, experts: { count: 4, topK: 2 } };
  await using rig = await openExpertRig({ ranks: 2, layout }, join);
  const [a, b] = rig.ranks;
  const slots = rig.ranks.map((mesh) => mesh.ep.claim({ tokens: 2 }));
  for (const slot of slots) {
    slot.experts.set([0, -1, 0, 1]);
    slot.weights.fill(1);
    slot.hidden.fill(0x3f80);
  }
  const round = slots[0]!.dispatch();
  const lost = slots[1]!.begin();
  slots[1]!.publish(1);
  const batch = await a!.ep.next({ streamed: true });
  deepEqual([...batch.counts], [4, 2]);
  if (onPeerLoss === 'error') {
    const waiting = rejects(batch.nextBlock(), 'WEFT_PEER_CLOSED', { phase: 'collect', peer: 'ep 1' });
    await b!.close();
    await waiting;
  } else {
    await b!.close();
  }
  const blocks: number[] = [];
  for await (const block of batch.blocks({ onPeerLoss })) {
    blocks.push(block.index);
    block.output.fill(0x4000);
    block.publish();
  }
  deepEqual(
    blocks.sort((x, y) => x - y),
    [0, 1],
  );
  equal(batch.isOpen, false);
  await rejects(lost.combine(), 'WEFT_CLOSED', { phase: 'combine' });
  const result = await round.combine({ onPeerLoss: 'skip' });
  deepEqual([...result.data], [...new Array(8).fill(0x4000), ...new Array(8).fill(0x4080)]);
  const slot = a!.ep.claim({ tokens: 1 });
  slot.experts.fill(-1);
  const next = slot.begin();
  const last = await a!.ep.next({ streamed: true, onPeerLoss: 'skip' });
  equal(await last.nextBlock(), undefined, 'nothing was sent to our experts');
  last.reply();
  deepEqual([...next.waitedUs].map(Number.isNaN), [true, true], 'not combined yet');
}

async function leaves(join: Join): Promise<void> {
  const scenario: ExpertScenario = {
    ranks: 3,
    rounds: 9,
    layout: { ...base, experts: { ...experts, placement: REPLICATED } },
  };
  const facts = expertFactsOf(scenario);
  await using rig = await openExpertRig(scenario, join);
  const [gone, ...rest] = rig.ranks;
  await Promise.all(rig.ranks.map((mesh) => driveExperts(mesh, { ...scenario, rounds: 2 })));
  // It leaves when all have dispatched, and nobody was served.
  const rounds = await Promise.all(rig.ranks.map((mesh) => dispatchExperts(mesh, facts, 3)));
  await gone!.close();
  for (const mesh of rest) await serveExperts(mesh, facts, 3, { onPeerLoss: 'skip' });
  for (const mesh of rest) {
    const round = rounds[mesh.rank]!;
    await rejects(round.combine(), 'WEFT_PEER_CLOSED', { phase: 'combine', peer: 'ep 0' });
    const result = await round.combine({ onPeerLoss: 'renormalise' });
    checkExpertResult(mesh, facts, 3, result.data, { gone: [0], policy: 'renormalise' });
    deepEqual(round.missing, [{ role: 'ep', rank: 0 }]);
  }
  for (const [i, policy] of (['skip', 'renormalise', 'reroute'] as const).entries()) {
    const work = { first: 4 + 2 * i, onPeerLoss: policy, loss: { gone: [0], policy } };
    await Promise.all(rest.map((mesh) => driveExperts(mesh, { ...scenario, rounds: 5 + 2 * i }, work)));
  }
}

async function ends(join: Join): Promise<void> {
  const scenario: ExpertScenario = { ranks: 1, rounds: 1, layout: { ...base, experts } };
  const facts = expertFactsOf(scenario);
  await using rig = await openExpertRig(scenario, join);
  const mesh = rig.ranks[0]!;
  const round = await dispatchExperts(mesh, facts, 1);
  const batch = await mesh.ep.next();
  await rejects(() => batch.expand('color'), 'WEFT_INVALID_ARGUMENT');
  await rejects(() => batch.expand('hidden', new Uint8Array(9)), 'WEFT_DTYPE');
  await rejects(() => batch.sums, 'WEFT_STATE', { phase: 'reply' });
  await rejects(() => batch.replySums(), 'WEFT_STATE', { phase: 'reply' });
  await rejects(() => batch.publish(99), 'WEFT_INVALID_ARGUMENT', { phase: 'reply' });
  batch.reply();
  await rejects(() => batch.reply(), 'WEFT_STATE', { phase: 'reply' });
  await rejects(() => batch.expand(), 'WEFT_STATE', { phase: 'reply' });
  await round.combine();
  await rejects(() => mesh.attention, 'WEFT_STATE');
  await rejects(() => mesh.ffn, 'WEFT_STATE');
  await mesh.close();
  await rejects(mesh.ep.next(), 'WEFT_CLOSED', { phase: 'collect' });
  await rejects(() => mesh.ep.claim({ tokens: 0 }), 'WEFT_CLOSED', { phase: 'claim' });
}

async function loads(join: Join): Promise<void> {
  const scenario: ExpertScenario = { ranks: 2, rounds: 5, layout: { ...base, experts } };
  await using rig = await openExpertRig(scenario, join);
  await Promise.all(rig.ranks.map((mesh) => driveExperts(mesh, scenario)));
  const facts = expertFactsOf(scenario);
  for (const { rank, ep } of rig.ranks) {
    const due = Array.from({ length: 5 }, (_, i) => dueRows(facts, rank, i + 1)).flat();
    deepEqual(
      [...ep.loads],
      [...ep.experts].map((expert) => due.filter((row) => row.expert === expert).length),
    );
  }
}
