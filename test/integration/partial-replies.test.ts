/** An FFN rank that leaves when a part of its reply is out: combined without it, the result has nothing of it. */
import type { AttentionRound, ExchangeLayout, FfnPart, PeerName } from 'tensorweft';
import { openRig, type Rig, rejects, type Scenario, workload } from 'tensorweft/testing';
import { describe, expect, it } from 'vitest';
import { everyTransport } from '../support/transports.js';

const { claimRound, factsOf, fillRows, writeOutput } = workload;
const experts = { count: 6, topK: 2 };
const base = { hidden: 72, maxTokens: 24, depth: 2, experts };
const layouts: [name: string, layout: ExchangeLayout][] = [
  ['sum', base],
  ['sum, routed', { ...base, dispatch: { mode: 'routed' } }],
  ['weighted', { ...base, combine: 'weighted' }],
];
const PARTIAL = 3;
const ranks = (...list: number[]): PeerName[] => list.map((rank) => ({ role: 'ffn', rank }));

/** Round 2, which is full, at all FFN ranks; round 1 has no rows and is through. */
async function secondRound(
  rig: Rig,
  scenario: Scenario,
): Promise<{ round: AttentionRound; parts: FfnPart[] }> {
  const facts = factsOf(scenario);
  for (const generation of [1, 2]) {
    const slot = claimRound(rig.attention[0]!.attention, facts, 0, generation);
    fillRows(slot, facts, 0, 0, slot.tokens);
    const round = slot.dispatch();
    const batches = await Promise.all(rig.ffn.map((mesh) => mesh.ffn.next()));
    const parts = batches.map((batch) => batch!.parts[0]!);
    if (generation === 2) return { round, parts };
    for (const part of parts) part.reply(...(scenario.layout.combine === 'none' ? [0] : []));
    await (scenario.layout.combine === 'none' ? round.replies() : round.combine());
  }
  throw new Error('not reached');
}

/** Writes all of a reply, and publishes so many rows of it. */
function answer(scenario: Scenario, rank: number, part: FfnPart, rows = part.replyRows): void {
  writeOutput({ facts: factsOf(scenario), ffn: scenario.ffn, rank }, part, 0, part.replyRows);
  part.publish(rows);
}

describe.each(everyTransport)('over %s', (transport) => {
  it.each(layouts)(
    '%s: skipped, also in a combine under way, and in every round after it',
    async (_, layout) => {
      const scenario: Scenario = { attention: 1, ffn: 3, rounds: 7, layout };
      await using rig = await openRig(scenario, { transports: [transport] });
      const mesh = rig.attention[0]!;
      const { round, parts } = await secondRound(rig, scenario);
      expect(round.missing).toEqual(ranks(0, 1, 2));
      for (const part of parts) expect(part.replyRows).toBeGreaterThan(PARTIAL);
      answer(scenario, 0, parts[0]!);
      answer(scenario, 1, parts[1]!, PARTIAL);
      answer(scenario, 2, parts[2]!, PARTIAL);
      // Rows that have come of all are combined by now, with rank 1's, and some of its rows alone.
      const late = await rejects(round.combine({ deadlineMs: 50 }), 'WEFT_DEADLINE', { phase: 'combine' });
      expect(late.details?.waitingFor).toEqual(ranks(1, 2));
      expect(round.missing).toEqual(ranks(1, 2));
      const combining = round.combine({ onPeerLoss: 'skip' });
      await rig.ffn[1]!.close();
      parts[2]!.reply();
      workload.checkResult(mesh, scenario, 2, await combining, { without: [1] });
      expect(round.missing).toEqual(ranks(1));

      const serving = [0, 2].map((rank) => workload.driveFfn(rig.ffn[rank]!, scenario, { block: 2 }));
      await workload.driveAttention(mesh, scenario, { first: 3, inFlight: 2, without: [1] });
      await mesh.close();
      expect(await Promise.all(serving)).toEqual([5, 5]);
    },
  );

  it('a reply that was complete counts, and nobody is missing', async () => {
    const scenario: Scenario = { attention: 1, ffn: 2, rounds: 2, layout: base };
    await using rig = await openRig(scenario, { transports: [transport] });
    const { round, parts } = await secondRound(rig, scenario);
    for (const rank of [0, 1]) answer(scenario, rank, parts[rank]!);
    for (const ffn of rig.ffn) await ffn.close();
    workload.checkResult(rig.attention[0]!, scenario, 2, await round.combine({ onPeerLoss: 'skip' }));
    expect(round.missing).toEqual([]);
  });

  it('of the only rank there is: no result, but an error, also in the blocking form', async () => {
    const scenario: Scenario = { attention: 1, ffn: 1, rounds: 2, layout: base };
    await using rig = await openRig(scenario, { transports: [transport] });
    const { round, parts } = await secondRound(rig, scenario);
    answer(scenario, 0, parts[0]!, PARTIAL);
    await rig.ffn[0]!.close();
    const lost = { phase: 'combine', peer: 'ffn 0' } as const;
    await rejects(round.combine(), 'WEFT_PEER_CLOSED', lost);
    await rejects(round.combine({ onPeerLoss: 'skip' }), 'WEFT_PEER_LOST', lost);
    await rejects(() => round.combineSync({ onPeerLoss: 'skip' }), 'WEFT_PEER_LOST', lost);
    expect(round.missing).toEqual(ranks(0));
  });

  it("with combine 'none' it is a reply of no rows", async () => {
    const scenario: Scenario = { attention: 1, ffn: 2, rounds: 2, layout: { ...base, combine: 'none' } };
    await using rig = await openRig(scenario, { transports: [transport] });
    const { round, parts } = await secondRound(rig, scenario);
    for (const part of parts) part.output.fill(0x3f80 + part.generation);
    parts[0]!.publish(PARTIAL);
    parts[1]!.reply(4);
    await rejects(round.replies({ deadlineMs: 50 }), 'WEFT_DEADLINE', { phase: 'combine', peer: 'ffn 0' });
    await rig.ffn[0]!.close();
    await rejects(round.replies(), 'WEFT_PEER_CLOSED', { phase: 'combine', peer: 'ffn 0' });
    const replies = await round.replies({ onPeerLoss: 'skip' });
    expect(replies.map(({ rank, rows }) => [rank, rows])).toEqual([
      [0, 0],
      [1, 4],
    ]);
    expect(replies[0]!.output).toHaveLength(0);
    expect([...new Set(replies[1]!.output)]).toEqual([0x3f82]);
    expect(round.missing).toEqual(ranks(0));
  });
});
