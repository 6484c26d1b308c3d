/** Joining that cannot succeed: what is wrong is said, and nothing is left of it. */
import { type Coordinator, type JoinOptions, joinMesh, startCoordinator } from 'tensorweft';
import { rejects } from 'tensorweft/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { refuses } from '../support/wrong.js';

const layout = { hidden: 8, maxTokens: 4 };
let coordinator: Coordinator;
let open: AsyncDisposable[];
beforeEach(async () => {
  coordinator = await startCoordinator({ attention: 2, ffn: 1 });
  open = [];
});
afterEach(async () => {
  for (const each of open) await each[Symbol.asyncDispose]();
  await coordinator.close();
});

const join = (options: Partial<Record<keyof JoinOptions, unknown>> = {}) =>
  joinMesh({
    coordinator: coordinator.url,
    token: coordinator.token,
    role: 'attention',
    layout,
    deadlineMs: 5000,
    ...options,
  } as JoinOptions).then((mesh) => {
    open.push(mesh);
    return mesh;
  });

const members = (): string[] => coordinator.roster.members.map(({ role, rank }) => `${role} ${rank}`);

async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + 5000;
  while (!condition() && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 2));
  expect(condition()).toBe(true);
}

describe('wrong options', () => {
  const cases: [argument: string, values: unknown[], make?: (value: unknown) => object][] = [
    ['coordinator', ['', 'localhost', 'http://127.0.0.1:1', 5, undefined]],
    ['token', ['', 5, undefined]],
    ['role', ['expert', undefined, 1]],
    ['rank', [-1, 0.5, '0', 4096]],
    ['layout.hidden', [{ maxTokens: 4 }, { hidden: 'x', maxTokens: 4 }], (value) => ({ layout: value })],
    ['layout', [undefined, null, 4]],
    ['transports', [['pigeon'], [], 'shm', ['shm', 'x'], [undefined], null]],
    ['require', [['pigeon'], [], 'shm', null]],
    ['host', ['', 5, null, '0.0.0.0', '0', '0x0', '000.0.0.0', '::', '0:0::0', '::ffff:0.0.0.0']],
    ['deadlineMs', [-1, Number.NaN, '5', null]],
    ['heapBytes', [-1, 0.5, '5', Number.NaN, null]],
    ['wait.mode', ['fast', 1], (mode) => ({ wait: { mode } })],
    ['wait.spinUs', [-1, '1', 1e10], (spinUs) => ({ wait: { spinUs } })],
    ['wait.yieldUs', [Number.NaN, null], (yieldUs) => ({ wait: { yieldUs } })],
    ['signal', ['x', {}, null]],
  ];

  it.each(cases)('%s', async (argument, values, make = (value) => ({ [argument]: value })) => {
    for (const value of values) await refuses(argument, join(make(value)));
    // Nobody has heard of them.
    expect(members()).toEqual([]);
  });

  it('no options', async () => {
    for (const options of [undefined, null, 'x']) await refuses('options', joinMesh(options as never));
  });

  it('a rank that the mesh does not have', async () => {
    for (const options of [{ rank: 2 }, { role: 'ffn', rank: 1 }]) {
      const error = await rejects(join(options), 'WEFT_INVALID_ARGUMENT', { phase: 'join' });
      expect(error.message).toMatch(
        /rank must be 0 to \d: this mesh has \d (attention|ffn) ranks, but \d was given/,
      );
    }
    expect(members()).toEqual([]);
  });

  it('a host that is not of this machine', async () => {
    await rejects(join({ host: '192.0.2.1' }), 'WEFT_SYSTEM');
    await rejects(join({ host: 'no.such.host.invalid' }), 'WEFT_UNAVAILABLE');
    expect(members()).toEqual([]);
  });
});

describe('the coordinator refuses', () => {
  it('who does not know the token', async () => {
    const error = await rejects(join({ token: `${coordinator.token}x` }), 'WEFT_AUTH', { phase: 'join' });
    expect(error.message).not.toContain(coordinator.token);
    expect(members()).toEqual([]);
  });

  it('another layout, and lists what differs', async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const waiting = rejects(join({ rank: 0, signal }), 'WEFT_ABORTED');
    await until(() => members().length === 1);
    const other = {
      ...layout,
      maxTokens: 5,
      depth: 4,
      dispatch: { dtype: 'f32' },
      columns: [{ name: 'x', dtype: 'u8', width: 1 }],
    };
    const error = await rejects(join({ layout: other }), 'WEFT_CONFIG_MISMATCH', { phase: 'join' });
    const fields = error.details!.fields as { field: string; expected: unknown; given: unknown }[];
    expect(fields.map(({ field }) => field).sort()).toEqual(['columns.0', 'depth', 'dtype', 'maxTokens']);
    expect(fields).toContainEqual({ field: 'maxTokens', expected: 4, given: 5 });
    for (const { field } of fields) expect(error.message).toContain(field);
    // Defaults that are written out are the same layout.
    const same = {
      ...layout,
      depth: 3,
      dispatch: { dtype: 'bf16', mode: 'all' },
      combine: 'sum',
      metaBytes: 256,
    };
    const also = rejects(join({ layout: same, signal }), 'WEFT_ABORTED');
    await until(() => members().length === 2);
    controller.abort();
    await Promise.all([waiting, also]);
  });

  it('a rank that is taken, and more ranks than there are', async () => {
    const waiting = [join({ rank: 1 }), join()];
    for (const each of waiting) each.catch(() => {});
    await until(() => members().length === 2);
    await rejects(join({ rank: 1 }), 'WEFT_STATE', { phase: 'join' });
    await rejects(join(), 'WEFT_STATE', { phase: 'join' });
    await join({ role: 'ffn' });
    await Promise.all(waiting);
    await rejects(join({ role: 'ffn' }), 'WEFT_STATE', { phase: 'join' });
  });

  it('nobody, when it is not there', async () => {
    const { url } = coordinator;
    await coordinator.close();
    await rejects(join({ coordinator: url, deadlineMs: 100 }), 'WEFT_UNAVAILABLE', { phase: 'join' });
  });
});

describe('while others are missing', () => {
  it('the deadline names them', async () => {
    const first = rejects(join({ rank: 1, deadlineMs: 300 }), 'WEFT_DEADLINE', { phase: 'join' });
    const error = await first;
    expect(error.message).toContain('attention 0 and ffn 0');
    expect(error.details).toMatchObject({ missing: { attention: [0], ffn: [0] } });
    await until(() => members().length === 0);
  });

  it('the signal ends it, and the rank is free again', async () => {
    const controller = new AbortController();
    const aborted = rejects(join({ rank: 0, signal: controller.signal }), 'WEFT_ABORTED', { phase: 'join' });
    await until(() => members().length === 1);
    controller.abort('never mind');
    expect((await aborted).cause).toBe('never mind');
    await until(() => members().length === 0);
    await Promise.all([join({ rank: 0 }), join({ rank: 1 }), join({ role: 'ffn' })]);
  });

  it('a signal that has fired before, whatever its reason', async () => {
    for (const reason of ['text', null, undefined, 7, new Error('x')])
      await rejects(join({ signal: AbortSignal.abort(reason) }), 'WEFT_ABORTED', { phase: 'join' });
    expect(members()).toEqual([]);
  });
});

describe('when all are there', () => {
  const all = (ffn: object, attention: object = {}) =>
    Promise.allSettled([join({ rank: 0, ...attention }), join({ rank: 1 }), join({ role: 'ffn', ...ffn })]);
  const reason = (settled: PromiseSettledResult<unknown>): unknown =>
    settled.status === 'rejected' ? settled.reason : undefined;

  it('a transport that is required but not the best: refused, and the others are told at once', async () => {
    const start = performance.now();
    const [first, second, ffn] = await all({ transports: ['tcp'], require: ['shm', 'loopback'] });
    expect(reason(ffn!)).toMatchObject({
      code: 'WEFT_UNAVAILABLE',
      phase: 'connect',
      peer: { role: 'attention', rank: 0 },
      message: expect.stringMatching(/shm or loopback is required.*tcp/),
    });
    for (const each of [first!, second!])
      expect(reason(each)).toMatchObject({
        code: 'WEFT_PEER_CLOSED',
        phase: 'connect',
        peer: { role: 'ffn', rank: 0 },
      });
    expect(performance.now() - start).toBeLessThan(4000);
  });

  it('no transport in common', async () => {
    const [first, second, ffn] = await all({ transports: ['shm'] }, { transports: ['tcp'] });
    for (const each of [first!, ffn!])
      expect(reason(each)).toMatchObject({
        code: expect.stringMatching('WEFT_UNAVAILABLE|WEFT_PEER_CLOSED'),
        phase: 'connect',
      });
    expect(reason(second!)).toMatchObject({ code: 'WEFT_PEER_CLOSED', peer: { role: 'ffn', rank: 0 } });
  });

  it('a placement outside of the mesh, which only now is known', async () => {
    const experts = { count: 2, topK: 1, placement: [0, 1] };
    const wrong = { layout: { ...layout, experts } };
    const joins = [join({ ...wrong }), join({ ...wrong }), join({ ...wrong, role: 'ffn' })];
    for (const each of joins) each.catch(() => {});
    for (const each of joins)
      await rejects(each, 'WEFT_INVALID_ARGUMENT').catch(async () => await rejects(each, 'WEFT_PEER_CLOSED'));
  });
});
