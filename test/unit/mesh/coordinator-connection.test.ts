import { EventEmitter } from 'node:events';
import { expect, it } from 'vitest';
import type { WebSocket } from 'ws';
import { encode } from '../../../src/mesh/codec.js';
import { configHash } from '../../../src/mesh/config-hash.js';
import { Connection, type ConnectionHost } from '../../../src/mesh/coordinator-connection.js';
import { MAX_BACKLOG_BYTES } from '../../../src/mesh/limits.js';
import { silent } from '../../../src/mesh/logger.js';
import { type Challenge, parseServerMessage } from '../../../src/mesh/messages.js';
import { clientProof, newMeshId, newNonce } from '../../../src/mesh/proof.js';
import { endpoint } from './helpers.js';

class FakeSocket extends EventEmitter {
  readonly OPEN = 1;
  readyState = 1;
  bufferedAmount = 0;
  readonly sent: Buffer[] = [];

  send(frame: Buffer): void {
    this.sent.push(frame);
  }

  ping(): void {}

  close(): void {
    this.readyState = 2;
  }

  terminate(): void {
    this.readyState = 2;
  }
}

it('a member that does not read is cut, and departs with the close of its socket', () => {
  const token = 't';
  const meshId = newMeshId();
  const departed: string[] = [];
  const host: ConnectionHost = {
    token,
    meshId,
    heartbeatMs: 60_000,
    missedHeartbeats: 1,
    logger: silent,
    join: ({ role, nonce, endpoint }) => ({ member: 0, rank: 0, role, nonce, endpoint }),
    joined: () => {},
    agree: () => {},
    withdraw: () => {},
    departed: (_, reason) => departed.push(reason),
  };
  const socket = new FakeSocket();
  const connection = new Connection(socket as unknown as WebSocket, host, 'test', () => {});
  const { serverNonce } = parseServerMessage(socket.sent[0]!) as Challenge;
  const clientNonce = newNonce();
  const proof = clientProof({ token, meshId, serverNonce, clientNonce });
  socket.emit('message', encode({ type: 'prove', protocol: 1, clientNonce, proof }), true);
  const seat = { role: 'ffn', nonce: newNonce(), endpoint: endpoint() };
  socket.emit('message', encode({ type: 'join', ...seat, config: {}, configHash: configHash({}) }), true);

  const before = socket.sent.length;
  socket.bufferedAmount = MAX_BACKLOG_BYTES + 1;
  connection.send({ type: 'departed', member: 1, reason: 'lost', epoch: 2 });
  connection.send({ type: 'departed', member: 2, reason: 'lost', epoch: 3 });
  expect(socket.readyState).toBe(2);
  expect(socket.sent).toHaveLength(before);
  // Not in the middle of a message to all.
  expect(departed).toEqual([]);
  socket.emit('close', 1006);
  socket.emit('close', 1006);
  expect(departed).toEqual(['lost']);
});
