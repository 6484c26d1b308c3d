/** A streamed round that the attention rank gives up, or leaves, when some of its rows are out. */
import type { AttentionRound, AttentionSlot, FfnPart, Mesh } from 'tensorweft';
import { openRig, type Rig, rejects, type Scenario, workload } from 'tensorweft/testing';
import { describe, expect, it } from 'vitest';
import { everyTransport } from '../support/transports.js';

const layout = { hidden: 40, maxTokens: 6, depth: 2 };
const scenario: Scenario = { attention: 2, ffn: 2, rounds: 9, layout };
const PUBLISHED = 2;
/** bf16 of row `r`: never 0. */
const rowOf = (r: number): Uint16Array => new Uint16Array(layout.hidden).fill(0x3f80 + r);

/** Round 1 of attention rank 0: begun, with so many rows published and another one written. */
function streamed(mesh: Mesh, rows: number): { slot: AttentionSlot; round: AttentionRound } {
  const slot = mesh.attention.claim({ tokens: layout.maxTokens });
  const round = slot.begin();
  for (let r = 0; r <= rows; r++) slot.write(rowOf(r), r);
  slot.publish(rows);
  return { slot, round };
}

function checkPublished(part: FfnPart, rows: number): void {
  for (let r = 0; r < rows; r++) {
    const at = part.rowOf[r]! * layout.hidden;
    workload.same(`row ${r}`, part.hidden.subarray(at, at + layout.hidden), rowOf(r));
  }
}

async function streamedPart(mesh: Mesh): Promise<FfnPart> {
  const batch = await mesh.ffn.next({ streamed: true });
  expect(batch!.parts.map(({ rank, generation }) => [rank, generation])).toEqual([[0, 1]]);
  return batch!.parts[0]!;
}

/** The rounds from `first` on of the attention ranks that are there, every byte checked on both sides. */
async function carryOn(rig: Rig, first: Record<number, number>): Promise<void> {
  const serving = Promise.all(rig.ffn.map((mesh) => workload.driveFfn(mesh, scenario, { streamed: true })));
  const ranks = Object.entries(first);
  await Promise.all(
    ranks.map(async ([rank, generation]) => {
      const mesh = rig.attention[Number(rank)]!;
      await workload.driveAttention(mesh, scenario, { first: generation, inFlight: 2, block: 2 });
      await mesh.close();
    }),
  );
  const parts = ranks.reduce((sum, [, generation]) => sum + scenario.rounds - generation + 1, 0);
  expect(await serving).toEqual([parts, parts]);
}

describe.each(everyTransport)('over %s', (transport) => {
  describe.each([0, PUBLISHED])('with %i rows out', (rows) => {
    it.each(['slot', 'round'] as const)(
      '%s.abandon(): it is completed, and the next rounds work',
      async (by) => {
        await using rig = await openRig(scenario, { transports: [transport] });
        const [mesh, [early, late]] = [rig.attention[0]!, [rig.ffn[0]!, rig.ffn[1]!]];
        const { slot, round } = streamed(mesh, rows);
        const part = await streamedPart(early);
        await part.whenAvailable(rows);
        const rest = part.whenAvailable(layout.maxTokens);
        // Who takes whole rounds has none yet.
        await rejects(late.ffn.next({ deadlineMs: 20 }), 'WEFT_DEADLINE', { phase: 'collect' });
        expect(part.available).toBe(rows);
        await rejects(() => part.reply(), 'WEFT_STATE', { phase: 'reply', peer: 'attention 0' });

        if (by === 'slot') slot.abandon();
        else round.abandon();
        await rest;
        const whole = (await late.ffn.next())!.parts[0]!;
        for (const each of [part, whole]) {
          expect([each.rows, each.available]).toEqual([layout.maxTokens, layout.maxTokens]);
          checkPublished(each, rows);
        }
        await rejects(round.combine(), 'WEFT_STATE', { phase: 'combine' });
        for (const call of [() => slot.publish(rows + 1), () => slot.dispatch(), () => slot.begin()])
          await rejects(call, 'WEFT_STATE', { phase: 'dispatch' });

        // The slot comes back when both have replied, not before.
        const second = mesh.attention.claim({ tokens: 0 }).dispatch();
        part.reply();
        await rejects(() => mesh.attention.claim({ tokens: 0 }), 'WEFT_SLOT_BUSY', { phase: 'claim' });
        whole.reply();
        for (const { ffn } of rig.ffn) (await ffn.next())!.reply();
        await second.combine();
        await workload.untilClaimable(mesh);
        await carryOn(rig, { 0: 3, 1: 1 });
      },
    );

    it('closing its mesh: the part fails, the other attention rank carries on', async () => {
      await using rig = await openRig(scenario, { transports: [transport] });
      const [early, late] = [rig.ffn[0]!, rig.ffn[1]!];
      const { round } = streamed(rig.attention[0]!, rows);
      const part = await streamedPart(early);
      await part.whenAvailable(rows);
      const rest = rejects(part.whenAvailable(rows + 1), 'WEFT_PEER_CLOSED', {
        phase: 'collect',
        peer: 'attention 0',
      });
      const combining = rejects(round.combine(), 'WEFT_CLOSED', { phase: 'combine' });
      await rig.attention[0]!.close();
      await combining;
      expect((await rest).details).toMatchObject({ generation: 1, rows: rows + 1 });
      const closed = { peer: 'attention 0' };
      await rejects(() => part.available, 'WEFT_PEER_CLOSED', { ...closed, phase: 'collect' });
      await rejects(() => part.reply(), 'WEFT_PEER_CLOSED', { ...closed, phase: 'reply' });
      checkPublished(part, rows); // still there to be read
      // Collecting tells nobody of it: there is only the other one now.
      const { details } = await rejects(late.ffn.next({ deadlineMs: 20 }), 'WEFT_DEADLINE');
      expect(details!.waitingFor).toEqual([{ role: 'attention', rank: 1 }]);
      await carryOn(rig, { 1: 1 });
    });
  });
});
