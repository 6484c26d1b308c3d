import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { type FakeConnection, type FakeServer, fakeServer } from './fake-server.js';
import { endpoint, failure, join, useMeshes } from './helpers.js';

const token = 'the mesh token';
const { keep } = useMeshes();
const fake = async (...args: Parameters<typeof fakeServer>): Promise<FakeServer> =>
  keep(await fakeServer(...args));

describe('a coordinator that is not ours', () => {
  it('which does not know the token learns nothing but a proof', async () => {
    const server = await fake((connection) => connection.behave('another token', 'accepted'));
    const error = await failure(join({ url: server.url, token }, 'ffn'), 'WEFT_AUTH');
    expect(error.message).toContain('does not know the token');
    await sleep(50);
    expect(server.seen).toEqual(['prove']);
  });

  it('cannot send the proof back', async () => {
    const server = await fake(async (connection) => {
      await connection.behave(token, 'challenge');
      const prove = await connection.next();
      if (prove.type === 'prove') connection.send({ type: 'welcome', proof: prove.proof });
    });
    await failure(join({ url: server.url, token }, 'ffn'), 'WEFT_AUTH');
  });

  it('of another version is named as such, whatever else it sends', async () => {
    const server = await fake((connection) =>
      connection.send({ type: 'challenge', protocol: 2, future: [1] }),
    );
    const error = await failure(join({ url: server.url, token }, 'ffn'), 'WEFT_PROTOCOL');
    expect(error.message).toContain('speaks protocol version 2 and this client 1');
    expect(error.details).toEqual({ ours: 1, theirs: 2 });
  });

  it.each([
    ['text', (c: FakeConnection) => c.socket.send('hello')],
    ['no MessagePack', (c: FakeConnection) => c.socket.send(Buffer.from([0xc1]))],
    ['an unknown message', (c: FakeConnection) => c.send({ type: 'hello' })],
    ['a message out of order', (c: FakeConnection) => c.send({ type: 'welcome', proof: Buffer.alloc(32) })],
    ['a frame that is too long', (c: FakeConnection) => c.socket.send(Buffer.alloc(2 ** 20 + 1))],
  ])('and sends %s', async (what, act) => {
    const server = await fake(act);
    const code = what === 'a frame that is too long' ? 'WEFT_UNAVAILABLE' : 'WEFT_PROTOCOL';
    await failure(join({ url: server.url, token }, 'ffn', { deadlineMs: 300 }), code);
  });

  it.each([
    ['a roster at epoch 2', { epoch: 2 }],
    ['a roster without us', { members: [] }],
    ['a roster of another mesh', { meshId: Buffer.alloc(16) }],
  ])('and gives %s', async (_, changes) => {
    const member = { nonce: Buffer.alloc(32), endpoint: endpoint() };
    const members = [
      { member: 0, role: 'attention', rank: 0, ...member },
      { member: 1, role: 'ffn', rank: 0, ...member },
    ];
    const server = await fake(async (connection) => {
      await connection.behave(token, 'accepted');
      connection.send({
        type: 'roster',
        meshId: Buffer.alloc(16),
        epoch: 1,
        attention: 1,
        ffn: 1,
        members,
        ...changes,
      });
    });
    const session = await join({ url: server.url, token }, 'ffn');
    await failure(session.roster(), 'WEFT_PROTOCOL');
    await session.close();
  });
});
