import { deepEqual, equal } from 'node:assert/strict';
import type { PeerName } from '../errors.js';
import type { JoinOptions } from '../mesh/join.js';
import type { Cases } from './cases.js';
import { untilClaimable } from './claimable.js';
import { checkResult, driveAttention, driveFfn } from './drive.js';
import { claimRound, fillRows } from './fill.js';
import { rejects } from './rejects.js';
import { openRig } from './rig.js';
import { factsOf, type Scenario } from './scenario.js';

type Join = Partial<JoinOptions>;
const layout = { hidden: 24, maxTokens: 6, depth: 2 };
const soon = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits that end otherwise than well, and members that leave. */
export const endCases: Cases = (join) => [
  {
    name: 'a combine that ran into its deadline, or was aborted, is waited for again',
    run: () => waitAgain(join),
  },
  {
    name: 'a collect that ran into its deadline, or was aborted, is waited for again',
    run: () => collectAgain(join),
  },
  { name: 'an attention rank that leaves', run: () => attentionLeaves(join) },
  { name: 'an ffn rank that leaves', run: () => ffnLeaves(join) },
  { name: 'a peer that is given up is lost, and learns of it', run: () => givenUp(join) },
  { name: 'closing an attention rank ends its waits, and every later call', run: () => closeAttention(join) },
  { name: 'closing an ffn rank ends its waits, and every later call', run: () => closeFfn(join) },
];

async function waitAgain(join: Join): Promise<void> {
  const scenario: Scenario = { attention: 1, ffn: 2, rounds: 4, layout };
  await using rig = await openRig(scenario, join);
  const facts = factsOf(scenario);
  const mesh = rig.attention[0]!;
  const slot = claimRound(mesh.attention, facts, 0, 1);
  const round = slot.dispatch();
  const part = async (rank: number) => (await rig.ffn[rank]!.ffn.next())!.parts[0]!;
  const both = await rejects(round.combine({ deadlineMs: 20 }), 'WEFT_DEADLINE', { phase: 'combine' });
  deepEqual(both.details?.waitingFor, [
    { role: 'ffn', rank: 0 },
    { role: 'ffn', rank: 1 },
  ]);
  (await part(0)).reply();
  await rejects(round.combine({ deadlineMs: 20 }), 'WEFT_DEADLINE', { peer: 'ffn 1' });
  await rejects(() => round.combineSync({ deadlineMs: 20 }), 'WEFT_DEADLINE', { peer: 'ffn 1' });

  const controller = new AbortController();
  const waiting = round.combine({ signal: controller.signal });
  await rejects(round.combine(), 'WEFT_STATE', { phase: 'combine' });
  controller.abort('enough');
  equal((await rejects(waiting, 'WEFT_ABORTED', { phase: 'combine' })).cause, 'enough');
  await rejects(round.combine({ signal: controller.signal }), 'WEFT_ABORTED');
  (await part(1)).reply();
  deepEqual([...(await round.combine()).shape], [0, layout.hidden]);
}

async function collectAgain(join: Join): Promise<void> {
  const scenario: Scenario = { attention: 2, ffn: 1, rounds: 2, layout };
  await using rig = await openRig(scenario, join);
  const { ffn } = rig.ffn[0]!;
  const late = await rejects(ffn.next({ deadlineMs: 20 }), 'WEFT_DEADLINE', { phase: 'collect' });
  equal((late.details!.waitingFor as unknown[]).length, 2);
  await rejects(() => ffn.nextSync({ deadlineMs: 20 }), 'WEFT_DEADLINE', { phase: 'collect' });
  const controller = new AbortController();
  const waiting = ffn.next({ signal: controller.signal });
  await rejects(ffn.next(), 'WEFT_STATE', { phase: 'collect' });
  await rejects(() => ffn.nextSync(), 'WEFT_STATE', { phase: 'collect' });
  controller.abort('enough');
  equal((await rejects(waiting, 'WEFT_ABORTED', { phase: 'collect' })).cause, 'enough');
  const round = rig.attention[1]!.attention.claim({ tokens: 0, tag: 5 }).dispatch();
  const batch = await ffn.next();
  deepEqual(
    batch!.parts.map((part) => [part.rank, part.tag]),
    [[1, 5]],
  );
  batch!.reply();
  await round.combine();
}

async function attentionLeaves(join: Join): Promise<void> {
  const scenario: Scenario = { attention: 2, ffn: 2, rounds: 6, layout };
  await using rig = await openRig(scenario, join);
  const [first, second] = [rig.attention[0]!, rig.attention[1]!];
  const serving = Promise.all(rig.ffn.map((mesh) => driveFfn(mesh, scenario, { gather: 'all' })));
  const short = { ...scenario, rounds: 3 };
  await Promise.all([
    driveAttention(first, short).then(() => first.close()),
    driveAttention(second, scenario).then(() => second.close()),
  ]);
  deepEqual(await serving, [9, 9], "'all' means all that are still there");
}

async function ffnLeaves(join: Join): Promise<void> {
  const scenario: Scenario = { attention: 1, ffn: 2, rounds: 6, layout };
  await using rig = await openRig(scenario, join);
  const facts = factsOf(scenario);
  const mesh = rig.attention[0]!;
  const staying = driveFfn(rig.ffn[1]!, scenario);
  for (let generation = 1; generation <= scenario.rounds; generation++) {
    const slot = claimRound(mesh.attention, facts, 0, generation);
    fillRows(slot, facts, 0, 0, slot.tokens);
    const round = slot.dispatch();
    if (generation === 1) {
      const waiting = rejects(round.combine(), 'WEFT_PEER_CLOSED', { phase: 'combine', peer: 'ffn 0' });
      await soon(10);
      await rig.ffn[0]!.close();
      await waiting;
    } else if (generation === 2) {
      await rejects(round.combine(), 'WEFT_PEER_CLOSED', { phase: 'combine', peer: 'ffn 0' });
    } else {
      const result = await round.combine({ onPeerLoss: 'skip' });
      checkResult(mesh, scenario, generation, result, { without: [0] });
      deepEqual(round.missing, [{ role: 'ffn', rank: 0 }]);
    }
  }
  await mesh.close();
  equal(await staying, scenario.rounds);
}

async function givenUp(join: Join): Promise<void> {
  const scenario: Scenario = { attention: 2, ffn: 2, rounds: 6, layout };
  await using rig = await openRig(scenario, join);
  const mesh = rig.attention[0]!;
  for (const peer of [{ role: 'ffn', rank: 2 }, { role: 'attention', rank: 1 }, undefined])
    await rejects(() => mesh.drop(peer as PeerName), 'WEFT_INVALID_ARGUMENT');
  // Fills every slot with rounds that ffn 0 never replies to.
  const rounds = [1, 2].map((generation) => claimRound(mesh.attention, factsOf(scenario), 0, generation));
  const waiting = rounds.map((slot) => {
    fillRows(slot, factsOf(scenario), 0, 0, slot.tokens);
    return rejects(slot.dispatch().combine(), 'WEFT_PEER_LOST', { phase: 'combine', peer: 'ffn 0' });
  });
  const serving = driveFfn(rig.ffn[1]!, scenario);
  mesh.drop({ role: 'ffn', rank: 0 });
  mesh.drop({ role: 'ffn', rank: 0 });
  await Promise.all(waiting);
  const collect = (): Promise<unknown> => rig.ffn[0]!.ffn.next();
  await rejects(
    async () => {
      // The rounds that came before it was dropped may still be handed over.
      while (true) await collect();
    },
    'WEFT_PEER_LOST',
    { phase: 'collect', peer: 'attention 0' },
  );
  await untilClaimable(mesh, layout.depth);
  await driveAttention(mesh, scenario, { first: 3, inFlight: 2, without: [0] });
  await mesh.close();
  // The other attention rank has both.
  const both = driveFfn(rig.ffn[0]!, scenario);
  await driveAttention(rig.attention[1]!, scenario);
  await rig.attention[1]!.close();
  deepEqual([await both, await serving], [6, 12]);
}

async function closeAttention(join: Join): Promise<void> {
  await using rig = await openRig({ attention: 1, ffn: 1, layout }, join);
  const mesh = rig.attention[0]!;
  const round = mesh.attention.claim({ tokens: 1 }).dispatch();
  const slot = mesh.attention.claim({ tokens: 1 });
  const combining = rejects(round.combine(), 'WEFT_CLOSED', { phase: 'combine' });
  await Promise.all([mesh.close(), mesh.close(), combining]);
  await mesh.close();
  await rejects(() => mesh.attention.claim({ tokens: 1 }), 'WEFT_CLOSED', { phase: 'claim' });
  await rejects(() => slot.dispatch(), 'WEFT_CLOSED', { phase: 'dispatch' });
  await rejects(round.combine(), 'WEFT_CLOSED', { phase: 'combine' });
  await rejects(() => round.combineSync(), 'WEFT_CLOSED', { phase: 'combine' });
  await rejects(() => mesh.tensor('f32', [1]), 'WEFT_CLOSED');
}

async function closeFfn(join: Join): Promise<void> {
  await using rig = await openRig({ attention: 1, ffn: 1, layout }, join);
  const mesh = rig.ffn[0]!;
  rig.attention[0]!.attention.claim({ tokens: 1 }).dispatch();
  const { parts } = (await mesh.ffn.next())!;
  const collecting = rejects(mesh.ffn.next(), 'WEFT_CLOSED', { phase: 'collect' });
  await Promise.all([mesh.close(), mesh.close(), collecting]);
  await mesh.close();
  await rejects(mesh.ffn.next(), 'WEFT_CLOSED', { phase: 'collect' });
  await rejects(() => mesh.ffn.nextSync(), 'WEFT_CLOSED', { phase: 'collect' });
  await rejects(() => parts[0]!.reply(), 'WEFT_CLOSED', { phase: 'reply' });
}
