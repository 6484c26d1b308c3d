/** Wrong calls on the FFN side: each is refused with what is wrong, and the part can still be replied to. */
import type { AttentionRound, FfnBatch, FfnSide, Mesh } from 'tensorweft';
import { openRig, type Rig, rejects } from 'tensorweft/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { refuses } from '../../support/wrong.js';

const HIDDEN = 8;
const layout = { hidden: HIDDEN, maxTokens: 4, depth: 2 };
let rig: Rig;
let mesh: Mesh;
let side: FfnSide;
beforeAll(async () => {
  rig = await openRig({ attention: 2, ffn: 1, layout }, { transports: ['loopback'] });
  mesh = rig.ffn[0]!;
  side = mesh.ffn;
});
afterAll(() => rig.close());

async function collected(...tokens: number[]): Promise<{ batch: FfnBatch; rounds: AttentionRound[] }> {
  const rounds = tokens.map((count, rank) =>
    rig.attention[rank]!.attention.claim({ tokens: count }).dispatch(),
  );
  const batch = await side.next({ gather: { atLeast: tokens.length, withinMs: 10_000 } });
  return { batch: batch!, rounds };
}

const finish = (rounds: AttentionRound[]): Promise<unknown> =>
  Promise.all(rounds.map((round) => round.combine()));

describe('collect', () => {
  it('refuses wrong options, and may then be called', async () => {
    const both: [string, object][] = [
      ['gather', { gather: 'most' }],
      ['gather.atLeast', { gather: { atLeast: 3, withinMs: 1 } }],
      ['gather.withinMs', { gather: { atLeast: 1 } }],
      ['streamed', { streamed: 'yes' }],
      ['onPeerLoss', { onPeerLoss: true }],
      ['deadlineMs', { deadlineMs: -5 }],
      ['signal', { signal: 'x' }],
    ];
    for (const [argument, options] of both) {
      await refuses(argument, side.next(options));
      await refuses(argument, () => side.nextSync(options));
      await refuses(argument, side.batches(options).next());
    }
    await refuses('cancel', () => side.nextSync({ cancel: new Int32Array(1) }));
    await rejects(side.batches({ deadlineMs: 5 }).next(), 'WEFT_DEADLINE', { phase: 'collect' });
    const { batch, rounds } = await collected(1);
    batch.reply();
    await finish(rounds);
  });
});

describe('a part', () => {
  it('refuses wrong numbers of rows', async () => {
    const { batch, rounds } = await collected(3);
    const part = batch.parts[0]!;
    for (const rows of [-1, 0.5, Number.NaN, '3', null]) {
      await refuses('rows', () => part.publish(rows as never), { phase: 'reply' });
      if (rows !== null) await refuses('rows', () => part.reply(rows as never), { phase: 'reply' });
    }
    const many = { code: 'WEFT_TOO_MANY_TOKENS', phase: 'reply' } as const;
    for (const rows of [4, 2 ** 31, 2 ** 32 + 3, Number.MAX_SAFE_INTEGER]) {
      await refuses('rows', () => part.publish(rows), many);
      await refuses('rows', () => part.reply(rows), many);
    }
    await refuses('rows', () => part.reply(2), { phase: 'reply' });
    part.publish(2);
    await refuses('rows', () => part.publish(1), { phase: 'reply' });
    expect(part.isOpen).toBe(true);
    part.reply();
    await finish(rounds);
  });

  it('is replied to once; publishing the last row ends it too', async () => {
    const { batch, rounds } = await collected(1, 2);
    const [first, second] = batch.parts;
    first!.reply();
    await rejects(() => first!.reply(), 'WEFT_STATE', { phase: 'reply' });
    await rejects(() => first!.publish(1), 'WEFT_STATE', { phase: 'reply' });
    second!.publish(second!.rows);
    expect([first!.isOpen, second!.isOpen]).toEqual([false, false]);
    await rejects(() => second!.publish(second!.rows), 'WEFT_STATE', { phase: 'reply' });
    second!.reply();
    await rejects(() => second!.reply(), 'WEFT_STATE', { phase: 'reply', peer: `attention ${second!.rank}` });
    batch.reply();
    await finish(rounds);
  });

  it('has no columns but those of the layout, and no selections without experts', async () => {
    const { batch, rounds } = await collected(1);
    const part = batch.parts[0]!;
    await refuses('name', () => part.column('nothing'));
    await refuses('name', () => part.scales);
    await refuses('name', () => part.experts);
    await rejects(() => part.selections, 'WEFT_STATE');
    part.reply();
    await finish(rounds);
  });

  it('that is streamed cannot be finished before its rows have come', async () => {
    const slot = rig.attention[0]!.attention.claim({ tokens: 3 });
    const round = slot.begin();
    const batch = await side.next({ streamed: true });
    const part = batch!.parts[0]!;
    slot.publish(1);
    part.publish(2);
    await rejects(() => part.reply(), 'WEFT_STATE', { phase: 'reply' });
    await rejects(() => batch!.contiguous(), 'WEFT_STATE');
    await rejects(() => batch!.replyFrom(new Uint16Array(99)), 'WEFT_STATE');
    slot.dispatch();
    part.reply();
    await round.combine();
  });
});

describe('a batch', () => {
  it('refuses arrays that do not fit, and writes nothing', async () => {
    const { batch, rounds } = await collected(2, 1);
    for (const part of batch.parts) part.output.fill(9);
    await refuses('name', () => batch.contiguous('nothing'));
    const dtype = { code: 'WEFT_DTYPE', phase: 'collect' } as const;
    for (const into of [new Float32Array(99), [1], 'x', null])
      await refuses('into', () => batch.contiguous('hidden', into as never), dtype);
    const small = new Uint16Array(3 * HIDDEN - 1).fill(5);
    await refuses('into', () => batch.contiguous('hidden', small));
    expect(small.every((x) => x === 5)).toBe(true);
    for (const outputs of [new Float32Array(99), undefined, null, [1]])
      await refuses('outputs', () => batch.replyFrom(outputs as never), { ...dtype, phase: 'reply' });
    await refuses('outputs', () => batch.replyFrom(small));
    for (const part of batch.parts) expect(part.output.every((x) => x === 9)).toBe(true);
    batch.replyFrom(new Uint16Array(3 * HIDDEN));
    await finish(rounds);
  });

  it('of which one part was replied to is not replied to as a whole', async () => {
    const { batch, rounds } = await collected(1, 1);
    batch.parts[0]!.output.fill(0x3f80);
    batch.parts[0]!.reply();
    await rejects(() => batch.replyFrom(new Uint16Array(99)), 'WEFT_STATE', { phase: 'reply' });
    batch.reply();
    const results = await Promise.all(rounds.map((round) => round.combine()));
    expect(results[batch.parts[0]!.rank]!.data[0]).toBe(0x3f80);
  });
});

describe('free replies', () => {
  const free = { ...layout, combine: 'none', dispatch: { dtype: 'u8' } } as const;
  const many = { code: 'WEFT_TOO_MANY_TOKENS', phase: 'reply' } as const;

  it('have as many rows as they say, up to maxTokens', async () => {
    await using other = await openRig({ attention: 1, ffn: 1, layout: free }, { transports: ['loopback'] });
    const round = other.attention[0]!.attention.claim({ tokens: 1 }).dispatch();
    const part = (await other.ffn[0]!.ffn.next())!.parts[0]!;
    await refuses('rows', () => part.reply(5), many);
    await refuses('rows', () => part.reply(2 ** 32 + 1), many);
    part.output.fill(3);
    part.reply(4);
    await rejects(round.combine(), 'WEFT_STATE', { phase: 'combine' });
    await rejects(() => round.combineSync(), 'WEFT_STATE', { phase: 'combine' });
    const [reply] = await round.replies();
    expect(reply).toMatchObject({ rank: 0, rows: 4 });
    expect([...reply!.output]).toEqual(Array(4 * HIDDEN).fill(3));
  });

  it('streamed, have the rows of the part', async () => {
    await using other = await openRig({ attention: 1, ffn: 1, layout: free }, { transports: ['loopback'] });
    const round = other.attention[0]!.attention.claim({ tokens: 2 }).dispatch();
    const part = (await other.ffn[0]!.ffn.next())!.parts[0]!;
    await refuses('rows', () => part.publish(3), many);
    part.publish(1);
    await refuses('rows', () => part.reply(3), many);
    await refuses('rows', () => part.reply(1), { code: 'WEFT_INVALID_ARGUMENT', phase: 'reply' });
    part.reply();
    expect((await round.replies())[0]).toMatchObject({ rank: 0, rows: 2 });
  });
});
