/** What is left of a streamed round when one side of it is over: it still goes out to the others, and nowhere else. */
import type { Mesh } from 'tensorweft';
import { openRig, rejects } from 'tensorweft/testing';
import { describe, expect, it } from 'vitest';
import { everyTransport } from '../support/transports.js';

const layout = { hidden: 8, maxTokens: 4, depth: 2 };

/** One empty round from end to end. */
async function emptyRound(attention: Mesh, ffn: Mesh): Promise<void> {
  const round = attention.attention.claim({ tokens: 0 }).dispatch();
  (await ffn.ffn.next())!.reply();
  await round.combine();
}

describe.each(everyTransport)('over %s', (transport) => {
  it.each(['abandon', 'dispatch'] as const)(
    'when a rank is lost, %s() completes it for the others',
    async (how) => {
      await using rig = await openRig({ attention: 1, ffn: 2, layout }, { transports: [transport] });
      const [mesh, { ffn }] = [rig.attention[0]!, rig.ffn[1]!];
      const slot = mesh.attention.claim({ tokens: 4 });
      const round = slot.begin();
      slot.write(new Uint16Array(8).fill(5));
      slot.publish(1);
      const combining = rejects(round.combine(), 'WEFT_PEER_CLOSED', { peer: 'ffn 0' });
      await rig.ffn[0]!.close();
      await combining;
      slot.write(new Uint16Array(24).fill(6), 1);
      slot[how]();
      const batch = await ffn.next();
      expect([...(batch!.parts[0]!.hidden as Uint16Array)].slice(0, 32)).toEqual(
        Array.from({ length: 32 }, (_, i) => (i < 8 ? 5 : 6)),
      );
      batch!.replyFrom(batch!.contiguous());
      if (how === 'dispatch')
        expect([...(await round.combine({ onPeerLoss: 'skip' })).data].slice(6, 10)).toEqual([5, 5, 6, 6]);
      for (let i = 0; i < 4; i++) {
        const next = mesh.attention.claim({ tokens: 1 }).dispatch();
        (await ffn.next())!.reply();
        await next.combine({ onPeerLoss: 'skip' });
      }
    },
  );

  it('a result may be complete before all rows are out; the rest still goes out', async () => {
    const routed = { ...layout, experts: { count: 2, topK: 1 }, dispatch: { mode: 'routed' as const } };
    await using rig = await openRig({ attention: 1, ffn: 2, layout: routed }, { transports: [transport] });
    const mesh = rig.attention[0]!;
    const slot = mesh.attention.claim({ tokens: 4 });
    slot.experts.set([0, 1, -1, -1]); // nobody takes the last rows
    slot.weights.fill(1);
    slot.write(new Float32Array(32).fill(1));
    const round = slot.begin();
    slot.publish(2);
    for (const { ffn } of rig.ffn) {
      const part = (await ffn.next({ streamed: true }))!.parts[0]!;
      await part.whenAvailable(1);
      part.output.set(part.hidden.subarray(part.rowOf[0]! * 8, part.rowOf[0]! * 8 + 8));
      part.reply();
    }
    const { data } = await round.combine();
    expect([...data]).toEqual(Array.from({ length: 32 }, (_, i) => (i < 16 ? 0x3f80 : 0)));
    slot.dispatch();
    for (let i = 0; i < 3; i++) {
      const next = mesh.attention.claim({ tokens: 0 }).dispatch();
      for (const { ffn } of rig.ffn) (await ffn.next())!.reply();
      await next.combine();
    }
  });

  it('given up, it is not written to by way of its old slot', async () => {
    await using rig = await openRig({ attention: 1, ffn: 1, layout }, { transports: [transport] });
    const [mesh, ffn] = [rig.attention[0]!, rig.ffn[0]!];
    const old = mesh.attention.claim({ tokens: 4 });
    old.begin().abandon();
    const tooLate = { write: () => old.write(new Uint16Array(32)), publish: () => old.publish(4) };
    for (const call of [...Object.values(tooLate), () => old.dispatch(), () => old.abandon()])
      await rejects(call, 'WEFT_STATE', { phase: 'dispatch' });
    (await ffn.ffn.next())!.reply();
    await emptyRound(mesh, ffn);
    const slot = mesh.attention.claim({ tokens: 4 }); // the same memory
    slot.write(new Uint16Array(32).fill(1));
    slot.dispatch();
    await rejects(tooLate.write, 'WEFT_STATE');
    expect((await ffn.ffn.next())!.parts[0]!.hidden[0]).toBe(1);
  });
});
