/** Wrong calls on the attention side: each is refused with what is wrong, and leaves everything as it was. */
import type { AttentionSide, Mesh } from 'tensorweft';
import { openRig, type Rig, rejects } from 'tensorweft/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { refuses } from '../../support/wrong.js';

const HIDDEN = 8;
const layout = {
  hidden: HIDDEN,
  maxTokens: 4,
  depth: 2,
  metaBytes: 16,
  experts: { count: 4, topK: 2 },
  combine: 'weighted' as const,
  columns: [{ name: 'extra', dtype: 'i32' as const, width: 1 }],
};
let rig: Rig;
let mesh: Mesh;
let side: AttentionSide;
let stop: () => void;
beforeAll(async () => {
  rig = await openRig({ attention: 1, ffn: 1, layout }, { transports: ['loopback'] });
  mesh = rig.attention[0]!;
  side = mesh.attention;
  const controller = new AbortController();
  stop = () => controller.abort();
  void (async () => {
    for await (const batch of rig.ffn[0]!.ffn.batches({ signal: controller.signal })) batch.reply();
  })().catch(() => {});
});
afterAll(async () => {
  stop();
  await rig.close();
});

const rows = (n: number): Float32Array => new Float32Array(n * HIDDEN).fill(1);

describe('claim', () => {
  it('refuses wrong options, and takes no slot', async () => {
    for (const options of [undefined, null, 3]) await refuses('options', () => side.claim(options as never));
    for (const tokens of [-1, 1.5, '1', undefined, Number.NaN])
      await refuses('tokens', () => side.claim({ tokens: tokens as never }));
    await refuses('tokens', () => side.claim({ tokens: 5 }), {
      code: 'WEFT_TOO_MANY_TOKENS',
      phase: 'claim',
    });
    for (const tag of [-1, 2 ** 32, 0.5, '1', null])
      await refuses('tag', () => side.claim({ tokens: 1, tag: tag as never }));
    for (const meta of ['x', [1], new ArrayBuffer(4), new Uint16Array(2), null])
      await refuses('meta', () => side.claim({ tokens: 1, meta: meta as never }));
    await refuses('meta', () => side.claim({ tokens: 1, meta: new Uint8Array(17) }));
    const first = side.claim({ tokens: 1, tag: 2 ** 32 - 1, meta: new Uint8Array(16) });
    expect(first.generation).toBe(1);
    first.abandon();
  });
});

describe('a claimed slot', () => {
  it('refuses rows that are wrong, and writes nothing', async () => {
    const slot = side.claim({ tokens: 2 });
    slot.hidden.fill(7);
    const dtype = { code: 'WEFT_DTYPE', phase: 'dispatch' } as const;
    for (const src of [
      undefined,
      null,
      [1, 2],
      'x',
      new Float64Array(HIDDEN),
      new Uint8Array(HIDDEN),
      new Int16Array(HIDDEN),
    ])
      await refuses('src', () => slot.write(src as never), dtype);
    await refuses('src', () => slot.write(new Float32Array(HIDDEN + 1)));
    const many = { code: 'WEFT_TOO_MANY_TOKENS', phase: 'dispatch' } as const;
    await refuses('src', () => slot.write(rows(3)), many);
    await refuses('src', () => slot.write(rows(1), 2), many);
    for (const firstRow of [-1, 0.5, '1', Number.NaN, null])
      await refuses('firstRow', () => slot.write(rows(1), firstRow as never));
    await refuses('layout.dispatch.dtype', () => slot.quantize(rows(1)), {
      code: 'WEFT_DTYPE',
      phase: 'dispatch',
    });
    await refuses('name', () => slot.column('nothing'));
    await refuses('name', () => slot.scales);
    expect(slot.hidden.every((x) => x === 7)).toBe(true);
    slot.abandon();
  });

  it('refuses expert ids that do not exist, naming the row, and may be corrected', async () => {
    for (const [row, id] of [
      [0, 4],
      [1, -2],
      [1, 2 ** 31 - 1],
    ] as const) {
      const slot = side.claim({ tokens: 2 });
      slot.write(rows(2));
      slot.experts.set([0, 1, 2, 3]);
      slot.experts[row * 2 + 1] = id;
      await refuses(`experts of row ${row}`, () => slot.dispatch(), { phase: 'dispatch' });
      await refuses(`experts of row ${row}`, () => slot.begin(), { phase: 'dispatch' });
      slot.experts[row * 2 + 1] = -1;
      slot.weights.fill(1);
      await slot.dispatch().combine();
    }
  });

  it('is used once', async () => {
    const slot = side.claim({ tokens: 0 });
    const round = slot.dispatch();
    const state = { phase: 'dispatch' } as const;
    await rejects(() => slot.dispatch(), 'WEFT_STATE', state);
    await rejects(() => slot.begin(), 'WEFT_STATE', state);
    await rejects(() => slot.publish(0), 'WEFT_STATE', state);
    await rejects(() => slot.write(new Float32Array(0)), 'WEFT_STATE', state);
    await round.combine();
    const given = side.claim({ tokens: 1 });
    given.abandon();
    for (const call of [
      () => given.dispatch(),
      () => given.begin(),
      () => given.write(rows(1)),
      () => given.abandon(),
    ])
      await rejects(call, 'WEFT_STATE', state);
  });

  it('that is given up goes out empty when a later one was claimed, and holds nobody up', async () => {
    const first = side.claim({ tokens: 2 });
    const second = side.claim({ tokens: 1 });
    await rejects(() => side.claim({ tokens: 0 }), 'WEFT_SLOT_BUSY', { phase: 'claim' });
    second.experts.fill(-1);
    const round = second.dispatch();
    first.abandon();
    await rejects(() => first.dispatch(), 'WEFT_STATE', { phase: 'dispatch' });
    await rejects(() => first.abandon(), 'WEFT_STATE', { phase: 'dispatch' });
    expect([...(await round.combine()).shape]).toEqual([1, HIDDEN]);
    const next = side.claim({ tokens: 0 });
    expect(next.generation).toBe(second.generation + 1);
    next.abandon();
  });

  it('is streamed in order', async () => {
    const slot = side.claim({ tokens: 3 });
    slot.experts.fill(-1);
    await rejects(() => slot.publish(1), 'WEFT_STATE', { phase: 'dispatch' });
    const round = slot.begin();
    await rejects(() => slot.begin(), 'WEFT_STATE', { phase: 'dispatch' });
    slot.publish(2);
    for (const published of [1, 4, 2.5, -1, '3', Number.NaN])
      await refuses('rows', () => slot.publish(published as never));
    // What is published is the readers'.
    await refuses('firstRow', () => slot.write(rows(1), 1));
    slot.write(rows(1), 2);
    slot.publish(2);
    slot.publish(3);
    await rejects(() => slot.write(rows(1), 2), 'WEFT_STATE');
    slot.dispatch();
    await rejects(() => slot.dispatch(), 'WEFT_STATE');
    expect([...(await round.combine()).shape]).toEqual([3, HIDDEN]);
  });
});

describe('combine', () => {
  it('refuses wrong options, and may then be called', async () => {
    const slot = side.claim({ tokens: 1 });
    slot.experts.fill(-1);
    const round = slot.dispatch();
    const foreign = { code: 'WEFT_FOREIGN_BUFFER', phase: 'combine' } as const;
    const freed = mesh.tensor('bf16', [4, HIDDEN]);
    mesh.free(freed);
    await using second = await openRig({ attention: 1, ffn: 1, layout }, { transports: ['loopback'] });
    const others = second.attention[0]!.tensor('bf16', [4, HIDDEN]);
    for (const into of [new Uint16Array(64), [1], 'x', 3, null, freed, others, { ...others }])
      await refuses('into', round.combine({ into: into as never }), foreign);
    const dtype = { code: 'WEFT_DTYPE', phase: 'combine' } as const;
    for (const wrong of ['u8', 'i32', 'fp8e4m3'] as const)
      await refuses('into', round.combine({ into: mesh.tensor(wrong, [64, HIDDEN]) }), dtype);
    await refuses('into', round.combine({ into: mesh.tensor('f32', [HIDDEN - 1]) }));
    for (const deadlineMs of [-1, Number.NaN, '1', null])
      await refuses('deadlineMs', round.combine({ deadlineMs: deadlineMs as never }));
    await refuses('signal', round.combine({ signal: {} as never }));
    await refuses('onPeerLoss', round.combine({ onPeerLoss: 'drop' as never }));
    await refuses('cancel', () => round.combineSync({ cancel: new Int32Array(1) }));
    await rejects(round.replies(), 'WEFT_STATE', { phase: 'combine' });
    await rejects(() => round.repliesSync(), 'WEFT_STATE', { phase: 'combine' });
    const result = await round.combine();
    expect(result.data.every((x) => x === 0)).toBe(true);
    await rejects(round.combine(), 'WEFT_STATE', { phase: 'combine' });
    await rejects(() => round.combineSync(), 'WEFT_STATE', { phase: 'combine' });
    await refuses('tensor', () => mesh.free(result));
  });

  it('while it is under way, nothing else is done with the round', async () => {
    const slot = side.claim({ tokens: 1 });
    slot.experts.fill(-1);
    const round = slot.begin();
    const into = mesh.tensor('f32', [1, HIDDEN]);
    const combining = round.combine({ into });
    await rejects(() => mesh.free(into), 'WEFT_STATE', { phase: 'combine' });
    await rejects(round.combine(), 'WEFT_STATE', { phase: 'combine' });
    await rejects(() => round.combineSync(), 'WEFT_STATE', { phase: 'combine' });
    await rejects(() => round.abandon(), 'WEFT_STATE', { phase: 'combine' });
    await rejects(() => slot.abandon(), 'WEFT_STATE', { phase: 'combine' });
    slot.dispatch();
    await combining;
    mesh.free(into);
  });

  it('of a round whose slot has a new one', async () => {
    const empty = () => side.claim({ tokens: 0 }).dispatch();
    const old = empty();
    await old.combine();
    for (let i = 0; i < 2; i++) await empty().combine();
    await rejects(old.combine(), 'WEFT_STATE', { phase: 'combine' });
    old.abandon();
    await empty().combine();
  });
});

describe('the mesh', () => {
  it('has one side, and tensors of its own', async () => {
    await rejects(() => mesh.ffn, 'WEFT_STATE');
    await rejects(() => rig.ffn[0]!.attention, 'WEFT_STATE');
    for (const tensor of [undefined, {}, new Uint8Array(3), rig.ffn[0]!.tensor('u8', [1])])
      await refuses('tensor', () => mesh.free(tensor as never));
    const tensor = mesh.tensor('u8', [1]);
    mesh.free(tensor);
    await refuses('tensor', () => mesh.free(tensor));
    await refuses('dtype', () => mesh.tensor('int4' as never, [1]));
    await refuses('shape', () => mesh.tensor('u8', [2 ** 40]));
  });
});
