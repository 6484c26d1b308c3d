import { describe, expect, it } from 'vitest';
import type { Departure } from '../../../src/mesh/roster.js';
import { RawClient, until, useMeshes } from './helpers.js';

const { start, enter, full } = useMeshes();

describe('departures', () => {
  it('frees the rank of a member that dies before the mesh is complete', async () => {
    const coordinator = await start(2, 1);
    const gone: Departure[] = [];
    coordinator.on('lost', (departure) => gone.push(departure));
    const first = new RawClient(coordinator.url);
    await first.join(coordinator.token, { rank: 0, config: { other: true } });
    await first.get('accepted');
    first.socket.terminate();
    await until('lost', () => gone.length === 1);
    expect(gone[0]).toEqual({ member: 0, role: 'attention', rank: 0, reason: 'lost', epoch: 0 });
    // Its configuration is forgotten too.
    const sessions = await full(coordinator, 2, 1);
    expect((await sessions[0]!.roster()).members).toHaveLength(3);
  });

  it('tells the survivors who left and who was lost, with the epoch', async () => {
    const coordinator = await start(2, 2);
    const told: string[] = [];
    coordinator.on('left', ({ member, epoch }) => told.push(`left ${member} ${epoch}`));
    coordinator.on('lost', ({ member, epoch }) => told.push(`lost ${member} ${epoch}`));
    const crashing = new RawClient(coordinator.url);
    await crashing.join(coordinator.token, { role: 'ffn', rank: 1 });
    const [a0, a1, f0] = (await full(coordinator, 2, 1)).sort((a, b) => a.member - b.member);
    await a0!.roster();
    const heard: Departure[] = [];
    a0!.onDeparted((departure) => heard.push(departure));

    await f0!.leave();
    await until('left', () => heard.length === 1);
    crashing.socket.terminate();
    await until('lost', () => heard.length === 2);
    expect(heard).toEqual([
      { member: 2, role: 'ffn', rank: 0, reason: 'left', epoch: 2 },
      { member: 3, role: 'ffn', rank: 1, reason: 'lost', epoch: 3 },
    ]);
    expect(told).toEqual(['left 2 2', 'lost 3 3']);
    expect(a0!.epoch).toBe(3);
    await until('the other survivor too', () => a1!.departed.length === 2);
    const replayed: Departure[] = [];
    a1!.onDeparted((departure) => replayed.push(departure));
    expect(replayed).toEqual(heard);
    expect(coordinator.roster).toMatchObject({ epoch: 3, members: [{ member: 0 }, { member: 1 }] });
  });

  it('loses a member that does not answer pings', async () => {
    const coordinator = await start(1, 1, { heartbeatMs: 20, missedHeartbeats: 3 });
    const silent = new RawClient(coordinator.url);
    await silent.join(coordinator.token, { role: 'ffn' });
    await silent.get('accepted');
    const session = await enter(coordinator, 'attention');
    await session.roster();
    // Its machine hangs: the connection stays, nothing is read.
    silent.socket.pause();
    await until('lost', () => session.departed.length === 1);
    expect(session.departed[0]).toMatchObject({ role: 'ffn', reason: 'lost', epoch: 2 });
    silent.socket.terminate();
  });

  it('keeps members that answer, also when its own process was blocked for long', async () => {
    const coordinator = await start(1, 1, { heartbeatMs: 20, missedHeartbeats: 2 });
    const [attention, ffn] = await full(coordinator, 1, 1);
    await attention!.roster();
    const end = performance.now() + 300;
    while (performance.now() < end);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(attention!.departed).toEqual([]);
    expect(ffn!.departed).toEqual([]);
    expect(coordinator.roster.members).toHaveLength(2);
  });
});
