import { describe, expect, it } from 'vitest';
import { startCoordinator } from '../../../src/mesh/coordinator.js';
import { fakeServer, freeUrl, type Step } from './fake-server.js';
import { activeHandles, failure, join, noMoreHandles, useMeshes } from './helpers.js';

const token = 'the mesh token';
const { keep } = useMeshes();

describe('deadline and abort', () => {
  const steps: [waitsFor: string, last: Step | undefined][] = [
    ['"challenge"', undefined],
    ['"welcome"', 'challenge'],
    ['"accepted"', 'welcome'],
  ];

  it.each(steps)('deadline while waiting for %s', async (waitsFor, last) => {
    const before = activeHandles();
    const server = await fakeServer((connection) => last && connection.behave(token, last));
    const error = await failure(
      join({ url: server.url, token }, 'ffn', { deadlineMs: 100 }),
      'WEFT_DEADLINE',
    );
    expect(error.message).toContain(`no ${waitsFor} from the coordinator at ${server.url}`);
    expect(error.details).toEqual({ deadlineMs: 100, url: server.url });
    await server.close();
    await noMoreHandles(before);
  });

  it.each(steps)('abort while waiting for %s', async (_, last) => {
    const before = activeHandles();
    const controller = new AbortController();
    const server = await fakeServer(async (connection) => {
      if (last !== undefined) await connection.behave(token, last);
      setTimeout(() => controller.abort('changed my mind'), 20);
    });
    const { signal } = controller;
    const error = await failure(join({ url: server.url, token }, 'ffn', { signal }), 'WEFT_ABORTED');
    expect(error.cause).toBe('changed my mind');
    await server.close();
    await noMoreHandles(before);
  });

  it('abort before it begins, and while nobody listens', async () => {
    const url = await freeUrl();
    await failure(join({ url, token }, 'ffn', { signal: AbortSignal.abort() }), 'WEFT_ABORTED');
    await failure(join({ url, token }, 'ffn', { signal: AbortSignal.timeout(50) }), 'WEFT_ABORTED');
  });

  it('of the roster: names the missing, and can be asked again', async () => {
    const coordinator = await startCoordinator({ attention: 2, ffn: 2, token });
    keep(coordinator);
    const first = await join(coordinator, 'attention', { rank: 1 });
    const second = await join(coordinator, 'ffn');
    keep(first);
    keep(second);
    const error = await failure(first.roster({ deadlineMs: 60 }), 'WEFT_DEADLINE');
    expect(error.message).toContain('within 60 ms there was no attention 0 and ffn 1');
    expect(error.details).toEqual({ deadlineMs: 60, missing: { attention: [0], ffn: [1] } });
    await failure(first.roster({ signal: AbortSignal.timeout(10) }), 'WEFT_ABORTED');
    await failure(first.roster({ signal: AbortSignal.abort() }), 'WEFT_ABORTED');
    keep(await join(coordinator, 'attention'));
    keep(await join(coordinator, 'ffn'));
    const roster = await first.roster();
    expect(roster.members).toHaveLength(4);
    expect(await first.roster({ deadlineMs: 1 })).toBe(roster);
  });
});
