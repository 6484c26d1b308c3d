import { describe, expect, it } from 'vitest';
import { startCoordinator } from '../../../src/mesh/coordinator.js';
import {
  activeHandles,
  config,
  failure,
  join,
  noMoreHandles,
  RawClient,
  until,
  useMeshes,
} from './helpers.js';

const { start, enter, full } = useMeshes();

describe('time and closing', () => {
  it('refuses those who wait when joinDeadlineMs passes, and starts over', async () => {
    const coordinator = await start(2, 1, { joinDeadlineMs: 100 });
    const [a, f] = await Promise.all([enter(coordinator, 'attention'), enter(coordinator, 'ffn')]);
    const error = await failure(a.roster(), 'WEFT_DEADLINE');
    expect(error.message).toContain('attention 1');
    expect(error.details).toEqual({ missing: { attention: [1], ffn: [] } });
    await failure(f.roster(), 'WEFT_DEADLINE');
    await until('free ranks', () => coordinator.roster.members.length === 0);
    const sessions = await full(coordinator, 2, 1);
    expect((await sessions[2]!.roster()).epoch).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(coordinator.roster.members).toHaveLength(3);
  });

  it('closes: everybody is told, once', async () => {
    const coordinator = await start(1, 1);
    const session = await enter(coordinator, 'attention');
    const waiting = failure(session.roster(), 'WEFT_UNAVAILABLE');
    const lost: string[] = [];
    session.onCoordinatorLost(({ code }) => lost.push(code));
    expect(coordinator.close()).toBe(coordinator.close());
    await coordinator.close();
    expect((await waiting).message).toContain('closed the connection');
    expect(lost).toEqual(['WEFT_UNAVAILABLE']);
    session.onCoordinatorLost(({ code }) => lost.push(`replayed ${code}`));
    expect(lost).toEqual(['WEFT_UNAVAILABLE', 'replayed WEFT_UNAVAILABLE']);
  });

  it('does not report departures of its own closing', async () => {
    const coordinator = await start(1, 2);
    const events: string[] = [];
    const [a] = await full(coordinator, 1, 2);
    await a!.roster();
    for (const event of ['left', 'lost'] as const) coordinator.on(event, () => events.push(event));
    await coordinator[Symbol.asyncDispose]();
    expect(events).toEqual([]);
    expect(a!.departed).toEqual([]);
  });

  it('closes by its signal, and does not start with one that fired', async () => {
    const controller = new AbortController();
    const coordinator = await start(1, 1, { signal: controller.signal });
    const session = await enter(coordinator, 'ffn');
    controller.abort();
    await failure(session.roster(), 'WEFT_UNAVAILABLE');
    await failure(startCoordinator({ attention: 1, ffn: 1, signal: AbortSignal.abort() }), 'WEFT_ABORTED');
  });

  it('leaves no socket, server or timer behind', async () => {
    const before = activeHandles();
    const coordinator = await startCoordinator({ attention: 2, ffn: 1, joinDeadlineMs: 60_000 });
    const sessions = [await join(coordinator, 'attention'), await join(coordinator, 'ffn')];
    await failure(sessions[0]!.roster({ deadlineMs: 10 }), 'WEFT_DEADLINE');
    await failure(join(coordinator, 'ffn', { rank: 0 }), 'WEFT_STATE');
    const stranger = new RawClient(coordinator.url);
    await stranger.get('challenge');
    await sessions[0]!.close();
    await coordinator.close();
    await sessions[1]!.close();
    await stranger.end();
    await noMoreHandles(before);
  });

  it('refuses unusable options and addresses', async () => {
    for (const bad of [
      { attention: 0 },
      { ffn: 1.5 },
      { attention: 1000, ffn: 25 },
      { port: 70_000 },
      { token: '' },
      { host: '' },
      { heartbeatMs: 0 },
    ]) {
      await failure(startCoordinator({ attention: 1, ffn: 1, ...bad }), 'WEFT_INVALID_ARGUMENT');
    }
    const coordinator = await start(1, 1);
    const { port } = new URL(coordinator.url);
    const busy = await failure(startCoordinator({ attention: 1, ffn: 1, port: Number(port) }), 'WEFT_SYSTEM');
    expect(busy.message).toContain('choose another port');
    expect(busy.details).toMatchObject({ errno: 'EADDRINUSE' });
    await failure(
      startCoordinator({ attention: 1, ffn: 1, tls: { cert: 'x', key: 'y' } }),
      'WEFT_INVALID_ARGUMENT',
    );
  });

  it('listens on IPv6 with a URL that works', async () => {
    const coordinator = await start(1, 1, { host: '::1' });
    expect(coordinator.url).toMatch(/^ws:\/\/\[::1\]:\d+$/);
    expect((await enter(coordinator, 'attention', { config })).rank).toBe(0);
  });
});
