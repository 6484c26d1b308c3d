import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Departure,
  type JoinOptions,
  joinMesh,
  type Mesh,
  type Role,
  startCoordinator,
  type WeftError,
} from 'tensorweft';
import { openRig } from 'tensorweft/testing';
import { describe, expect, it } from 'vitest';
import { refuses } from '../support/wrong.js';

const layout = { hidden: 8, maxTokens: 4 };

async function pair(options: Partial<JoinOptions> = {}, ffn: Partial<JoinOptions> = options) {
  const coordinator = await startCoordinator({ attention: 1, ffn: 1 });
  const { url, token } = coordinator;
  const join = (role: Role, own: Partial<JoinOptions>): Promise<Mesh> =>
    joinMesh({ coordinator: url, token, role, layout, ...own });
  const start = async () => {
    const [a, f] = await Promise.all([join('attention', options), join('ffn', ffn)]);
    const close = async (): Promise<void> => {
      await Promise.all([a.close(), f.close()]);
      await coordinator.close();
    };
    return { attention: a, ffn: f, close, [Symbol.asyncDispose]: close };
  };
  return { coordinator, join, start };
}

async function oneRound(attention: Mesh, ffn: Mesh): Promise<void> {
  const round = attention.attention.claim({ tokens: 1 }).dispatch();
  (await ffn.ffn.next())!.reply();
  await round.combine();
}

describe('which transport is used', () => {
  it.each([
    [undefined, undefined, 'loopback'],
    [['shm', 'tcp'], ['tcp', 'shm'], 'shm'],
    [['shm', 'tcp'], ['tcp', 'loopback'], 'tcp'],
    [['loopback'], ['tcp', 'shm', 'loopback'], 'loopback'],
  ] as const)('%j and %j: %s', async (ours, theirs, used) => {
    const offers = (transports: readonly ('shm' | 'tcp' | 'loopback')[] | undefined) => ({
      ...(transports && { transports }),
      require: [used],
    });
    await using mesh = await (await pair(offers(ours), offers(theirs))).start();
    for (const [member, peer] of [
      [mesh.attention, 'ffn'],
      [mesh.ffn, 'attention'],
    ] as const) {
      const [explanation, ...more] = member.explain();
      expect(more).toEqual([]);
      expect(explanation).toMatchObject({ peer: { role: peer, rank: 0 }, transport: used });
      const { considered } = explanation!;
      expect(considered.map(({ transport }) => transport)).toEqual([
        'loopback',
        'shm',
        'verbs',
        'ucx',
        'tcp',
      ]);
      // A better one has a reason why not, and the one in use has none.
      const at = considered.findIndex(({ transport }) => transport === used);
      for (const { unusable } of considered.slice(0, at)) expect(unusable).toMatch(/not offered by/);
      expect(considered[at]!.unusable).toBeUndefined();
    }
    await oneRound(mesh.attention, mesh.ffn);
  });
});

describe('a mesh', () => {
  it('may have all its members in one process, and be larger than the pool of threads', async () => {
    await using rig = await openRig({ attention: 7, ffn: 6, layout }, { transports: ['tcp'] });
    const rounds = rig.attention.map((mesh) => mesh.attention.claim({ tokens: 4 }).dispatch());
    for (const { ffn } of rig.ffn) {
      const batch = await ffn.next({ gather: 'all' });
      expect(batch!.parts).toHaveLength(7);
      batch!.reply();
    }
    await Promise.all(rounds.map((round) => round.combine()));
  });

  it('gives ranks in order, and those that were asked for', async () => {
    const coordinator = await startCoordinator({ attention: 3, ffn: 1 });
    const { url, token } = coordinator;
    const join = (role: Role, rank?: number) =>
      joinMesh({ coordinator: url, token, role, layout, ...(rank !== undefined && { rank }) });
    const asked = join('attention', 1);
    while (coordinator.roster.members.length === 0) await sleep(1);
    const meshes = await Promise.all([asked, join('attention'), join('attention'), join('ffn')]);
    expect(meshes.map(({ role, rank }) => `${role} ${rank}`).sort()).toEqual([
      'attention 0',
      'attention 1',
      'attention 2',
      'ffn 0',
    ]);
    expect(meshes[0]!.rank).toBe(1);
    expect(meshes[0]!.roster.members).toHaveLength(4);
    await Promise.all(meshes.map((mesh) => mesh.close()));
    await coordinator.close();
  });

  it('tells of departures, and works without its coordinator', async () => {
    await using rig = await openRig({ attention: 2, ffn: 1, layout }, { transports: ['tcp'] });
    const departures: Departure[] = [];
    const stop = rig.ffn[0]!.onDeparted((departure) => departures.push(departure));
    await rig.attention[1]!.close();
    const end = performance.now() + 5000;
    while (departures.length === 0 && performance.now() < end) await sleep(2);
    expect(departures).toEqual([{ member: 1, role: 'attention', rank: 1, reason: 'left', epoch: 2 }]);
    stop();
    const lost = new Promise<WeftError>((resolve) => rig.ffn[0]!.onCoordinatorLost(resolve));
    await rig.coordinator.close();
    expect(await lost).toMatchObject({ code: 'WEFT_UNAVAILABLE' });
    await oneRound(rig.attention[0]!, rig.ffn[0]!);
  });

  it('has a heap as large as was asked for', async () => {
    await using none = await (await pair({ heapBytes: 0 })).start();
    for (const member of [none.attention, none.ffn])
      await refuses('shape', () => member.tensor('u8', [8192]));
    await oneRound(none.attention, none.ffn);
    await using large = await (await pair({ heapBytes: 2 ** 31 })).start();
    const tensor = large.ffn.tensor('f32', [2 ** 29 - 1024]);
    tensor.data[2 ** 29 - 1025] = 5;
    large.ffn.free(tensor);
  });

  it('closes with its block, and any number of times', async () => {
    const { start, coordinator } = await pair();
    let kept: Mesh;
    {
      const { attention, ffn } = await start();
      await using a = attention;
      await using f = ffn;
      kept = a;
      await oneRound(a, f);
      expect(a.closed).toBe(false);
    }
    expect(kept.closed).toBe(true);
    await Promise.all([kept.close(), kept.close(), kept[Symbol.asyncDispose]()]);
    await coordinator.close();
  });

  it.each(['adaptive', 'spin', 'yield', 'park'] as const)('waits by %s', async (mode) => {
    await using mesh = await (await pair({ wait: { mode, spinUs: 20, yieldUs: 20 } })).start();
    for (let i = 0; i < 20; i++) {
      const round = mesh.attention.attention.claim({ tokens: 2 }).dispatch();
      mesh.ffn.ffn.nextSync()!.reply();
      round.combineSync();
    }
  });
});

describe('strangers at the door of tcp', () => {
  it.each([
    ['that say nothing', ''],
    ['that talk nonsense', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(20)],
  ])('%s: joining is not held up', async (_, text) => {
    const { coordinator, join } = await pair();
    const options = { transports: ['tcp'] as const, deadlineMs: 20_000 };
    const waiting = join('ffn', options);
    while (coordinator.roster.members.length === 0) await sleep(1);
    const { port } = coordinator.roster.members[0]!.endpoint.transports.tcp!;
    const strangers = Array.from({ length: 20 }, () => connect(port, '127.0.0.1'));
    for (const stranger of strangers) {
      stranger.on('error', () => {});
      stranger.write(text);
    }
    await sleep(50);
    const start = performance.now();
    const meshes = await Promise.all([join('attention', options), waiting]);
    expect(performance.now() - start).toBeLessThan(3000);
    await oneRound(...meshes);
    for (const stranger of strangers) stranger.destroy();
    await Promise.all(meshes.map((mesh) => mesh.close()));
    await coordinator.close();
  });
});
