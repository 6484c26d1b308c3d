import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { encode } from '../../../src/mesh/codec.js';
import { type Coordinator, startCoordinator } from '../../../src/mesh/coordinator.js';
import { SPARE_PENDING } from '../../../src/mesh/limits.js';
import { controlVectors, fromJson } from '../../conformance/control-vectors.js';
import { join, RawClient, until } from './helpers.js';

/** WEFT_FUZZ_SEED repeats a run. */
const seed = Number(process.env.WEFT_FUZZ_SEED ?? Date.now() % 2 ** 31);

let coordinator: Coordinator;
beforeEach(async () => {
  coordinator = await startCoordinator({ attention: 1, ffn: 1 });
});
afterEach(() => coordinator.close());

/** The coordinator still brings a mesh together. */
async function serves(): Promise<void> {
  const [a, f] = await Promise.all([join(coordinator, 'attention'), join(coordinator, 'ffn')]);
  expect((await a.roster()).members).toHaveLength(2);
  await Promise.all([a.close(), f.close()]);
}

const vectors = controlVectors().messages.map(({ message }) => fromJson(message));
const anything = fc.anything({
  withBigInt: false,
  withDate: false,
  withMap: false,
  withSet: false,
  withTypedArray: false,
});
const hostileFrame: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  // Well-formed messages, out of order or with one field replaced.
  fc.tuple(fc.constantFrom(...vectors), fc.nat(), anything).map(([message, which, value]) => {
    const fields = Object.entries(message as object);
    fields[which % fields.length]![1] = value;
    try {
      return encode(Object.fromEntries(fields));
    } catch {
      return encode(message);
    }
  }),
  // Well-formed frames with some bytes changed.
  fc
    .tuple(fc.constantFrom(...vectors), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }))
    .map(([message, changes]) => {
      const frame = encode(message);
      for (const [at, byte] of changes) frame[at % frame.length] = byte;
      return frame;
    }),
);

describe('hostile clients', () => {
  it('frames before, between and after the proof do not stop the coordinator', async () => {
    console.log(`fuzz seed ${seed} (WEFT_FUZZ_SEED=${seed} repeats this run)`);
    const progress = fc.constantFrom('nothing', 'proof', 'member');
    await fc.assert(
      fc.asyncProperty(
        progress,
        fc.array(hostileFrame, { minLength: 1, maxLength: 5 }),
        async (until, frames) => {
          const client = new RawClient(coordinator.url);
          await client.get('challenge');
          if (until === 'proof') await client.prove(coordinator.token).then(() => client.get('welcome'));
          if (until === 'member') await client.join(coordinator.token).then(() => client.get('accepted'));
          for (const frame of frames) client.socket.send(frame);
          client.socket.close();
          await client.end();
        },
      ),
      { seed, numRuns: 150 },
    );
    await until('ranks are free again', () => coordinator.roster.members.length === 0);
    await serves();
  });

  it('bytes that are no HTTP and no WebSocket do not either', async () => {
    const upgrade =
      'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n';
    const port = Number(new URL(coordinator.url).port);
    await fc.assert(
      fc.asyncProperty(
        fc.boolean(),
        fc.uint8Array({ minLength: 1, maxLength: 100 }),
        async (upgraded, bytes) => {
          const socket = connect(port, '127.0.0.1');
          socket.on('error', () => {});
          socket.resume();
          if (upgraded) socket.write(upgrade);
          socket.end(bytes);
          await sleep(2);
          socket.destroy();
        },
      ),
      { seed, numRuns: 100 },
    );
    await serves();
  });

  it('plain HTTP is told what this is', async () => {
    const response = await fetch(coordinator.url.replace('ws', 'http'));
    expect(response.status).toBe(426);
    expect(await response.text()).toContain('WebSocket');
  });

  it('a frame beyond the limit ends the connection, also as many fragments', async () => {
    for (const fragments of [1, 100]) {
      const client = new RawClient(coordinator.url);
      await client.get('challenge');
      const part = Buffer.alloc(Math.ceil((2 ** 20 + 100) / fragments));
      for (let i = 0; i < fragments; i += 1) client.socket.send(part, { fin: i === fragments - 1 });
      await client.end();
      expect([1006, 1009]).toContain(client.closed?.code);
    }
    await serves();
  });

  it('idle connections are dropped: all after five seconds, the oldest when there are many', async () => {
    const port = Number(new URL(coordinator.url).port);
    const maxPending = 2 + SPARE_PENDING;
    const begin = performance.now();
    const closed: number[] = [];
    const open = (): void => {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => {});
      socket.on('close', () => closed.push(performance.now() - begin));
      socket.resume();
    };
    for (let i = 0; i < maxPending; i += 1) open();
    const silent = new WebSocket(coordinator.url);
    silent.on('error', () => {});
    silent.on('close', () => closed.push(performance.now() - begin));
    await until('one more drops the oldest', () => closed.length === 1, 2000);
    await serves();
    await until('all dropped', () => closed.length === maxPending + 1, 8000);
    expect(Math.max(...closed)).toBeGreaterThan(4900);
  });

  it('a member stays for longer than strangers may', { timeout: 15_000 }, async () => {
    const session = await join(coordinator, 'ffn');
    await sleep(5500);
    expect(coordinator.roster.members).toHaveLength(1);
    await session.close();
  });
});
