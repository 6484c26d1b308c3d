import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { startCoordinator } from '../../../src/mesh/coordinator.js';
import { type FakeServer, fakeServer, freeUrl } from './fake-server.js';
import { endpoint, failure, join, until, useMeshes } from './helpers.js';

const token = 'the mesh token';
const { keep } = useMeshes();
const fake = async (...args: Parameters<typeof fakeServer>): Promise<FakeServer> =>
  keep(await fakeServer(...args));

describe('no coordinator', () => {
  it('is WEFT_UNAVAILABLE after the deadline, and says where and what to start', async () => {
    const url = await freeUrl();
    const begin = performance.now();
    const error = await failure(join({ url, token }, 'ffn', { deadlineMs: 200 }), 'WEFT_UNAVAILABLE');
    expect(performance.now() - begin).toBeGreaterThan(190);
    expect(error.message).toContain(url);
    expect(error.message).toContain('ECONNREFUSED');
    expect(error.message).toContain('weft coordinator');
    expect(error).toMatchObject({ phase: 'join', details: { url } });
  });

  it('is waited for: processes start in any order', async () => {
    const url = await freeUrl();
    const joining = join({ url, token }, 'ffn');
    await sleep(150);
    keep(await startCoordinator({ attention: 1, ffn: 1, token, port: Number(new URL(url).port) }));
    const session = await joining;
    keep(session);
    expect(session.rank).toBe(0);
  });

  it('a connection that is lost before the rank is given is tried again', async () => {
    const server = await fake(async (connection, number) => {
      if (number === 0) connection.socket.terminate();
      else if (number === 1)
        await connection.behave(token, 'welcome').then(() => connection.socket.terminate());
      else if (number === 2) connection.socket.close(1001);
      else await connection.behave(token, 'accepted');
    });
    const session = await join({ url: server.url, token }, 'ffn');
    keep(session);
    expect(session.member).toBe(1);
  });

  it('something else that speaks HTTP is refused at once', async () => {
    const server = createServer((_, response) => response.writeHead(404).end());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const error = await failure(join({ url, token }, 'ffn'), 'WEFT_UNAVAILABLE');
    expect(error.message).toContain('HTTP 404');
    await new Promise((resolve) => server.close(resolve));
  });

  it.each(['http://127.0.0.1:1', '127.0.0.1:1', '', 'ws://127.0.0.1:1/#x', 7])(
    '%s is no URL for one',
    async (url) => {
      const error = await failure(join({ url: url as string, token }, 'ffn'), 'WEFT_INVALID_ARGUMENT');
      expect(error.message).toContain('ws://');
    },
  );

  it('checks its arguments before it connects', async () => {
    const url = await freeUrl();
    const bad: Parameters<typeof join>[2][] = [
      { token: '' },
      { role: 'router' as 'ffn' },
      { rank: -1 },
      { rank: 0.5 },
      { config: null as unknown as object },
      { config: { x: Number.NaN } },
      { endpoint: {} as never },
      { endpoint: { ...endpoint(), transports: { tcp: { host: 'h', port: 0 } } } },
      { deadlineMs: Number.NaN },
      { deadlineMs: -1 },
    ];
    for (const options of bad) await failure(join({ url, token }, 'ffn', options), 'WEFT_INVALID_ARGUMENT');
  });
});

describe('a session', () => {
  it('loses a coordinator that goes silent', async () => {
    const server = await fake((connection) => connection.behave(token, 'accepted'));
    const session = await join({ url: server.url, token }, 'ffn');
    const lost: string[] = [];
    session.onCoordinatorLost((error) => lost.push(error.message));
    const error = await failure(session.roster({ deadlineMs: 5000 }), 'WEFT_UNAVAILABLE');
    expect(error.message).toContain('silent');
    expect(lost).toEqual([error.message]);
    await session.close();
  });

  it('leaves once, and closing rejects who waits', async () => {
    const coordinator = await startCoordinator({ attention: 1, ffn: 1, token });
    keep(coordinator);
    const left: string[] = [];
    coordinator.on('left', ({ role }) => left.push(role));
    const session = await join(coordinator, 'attention');
    const lost: unknown[] = [];
    session.onCoordinatorLost((error) => lost.push(error));
    const waiting = failure(session.roster(), 'WEFT_CLOSED');
    expect(session.leave()).toBe(session.close());
    await session[Symbol.asyncDispose]();
    await waiting;
    await failure(session.roster(), 'WEFT_CLOSED');
    expect(left).toEqual(['attention']);
    expect(lost).toEqual([]);
  });

  it('closes in bounded time when the coordinator does not answer', async () => {
    const server = await fake(async (connection) => {
      await connection.behave(token, 'accepted');
      connection.socket.pause();
    });
    const session = await join({ url: server.url, token }, 'ffn');
    const begin = performance.now();
    await session.close();
    expect(performance.now() - begin).toBeLessThan(2000);
  });

  it('lets listeners be taken away', async () => {
    const coordinator = await startCoordinator({ attention: 1, ffn: 2, token });
    keep(coordinator);
    const [a, f0, f1] = [
      await join(coordinator, 'attention'),
      await join(coordinator, 'ffn'),
      await join(coordinator, 'ffn'),
    ];
    keep(a);
    const heard: string[] = [];
    const stop = a.onDeparted(({ rank }) => heard.push(`first ${rank}`));
    a.onDeparted(({ rank }) => heard.push(`second ${rank}`));
    await f0.leave();
    await until('departed', () => heard.length === 2);
    stop();
    await f1.leave();
    await until('departed', () => heard.length === 3);
    expect(heard).toEqual(['first 0', 'second 0', 'second 1']);
  });
});
