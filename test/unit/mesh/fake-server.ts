import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import { encode } from '../../../src/mesh/codec.js';
import type { ClientMessage, Join, Prove } from '../../../src/mesh/messages.js';
import { PROTOCOL_VERSION, parseClientMessage } from '../../../src/mesh/messages.js';
import { newMeshId, newNonce, serverProof } from '../../../src/mesh/proof.js';

export type Step = 'challenge' | 'welcome' | 'accepted';

/** One connection of a server that can be made to misbehave. */
export interface FakeConnection {
  readonly socket: WebSocket;
  send(message: unknown): void;
  /** Sends what a coordinator sends, up to and including `last`. */
  behave(token: string, last: Step): Promise<void>;
  /** The client's next message. */
  next(): Promise<ClientMessage>;
}

export interface FakeServer {
  readonly url: string;
  /** Types of all messages clients sent. */
  readonly seen: string[];
  close(): Promise<void>;
}

/** A WebSocket server that does with each connection what the test says. */
export async function fakeServer(
  handle: (connection: FakeConnection, number: number) => unknown,
): Promise<FakeServer> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  const seen: string[] = [];
  let count = 0;
  server.on('connection', (socket) => {
    socket.on('error', () => {});
    void handle(fakeConnection(socket, seen), count++);
  });
  await new Promise((resolve) => server.once('listening', resolve));
  return {
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    close: () =>
      new Promise((resolve) => {
        for (const socket of server.clients) socket.terminate();
        server.close(() => resolve());
      }),
  };
}

/** A URL on which nobody listens now. */
export async function freeUrl(): Promise<string> {
  const { url, close } = await fakeServer(() => {});
  await close();
  return url;
}

function fakeConnection(socket: WebSocket, seen: string[]): FakeConnection {
  const messages: ClientMessage[] = [];
  let wake = (): void => {};
  socket.on('message', (data) => {
    const message = parseClientMessage(data as Buffer);
    seen.push(message.type);
    messages.push(message);
    wake();
  });
  const send = (message: unknown): void => socket.send(encode(message));
  const next = async (): Promise<ClientMessage> => {
    while (messages.length === 0) await new Promise<void>((resolve) => (wake = resolve));
    return messages.shift()!;
  };
  const behave = async (token: string, last: Step): Promise<void> => {
    const meshId = newMeshId();
    const serverNonce = newNonce();
    send({ type: 'challenge', protocol: PROTOCOL_VERSION, meshId, serverNonce });
    if (last === 'challenge') return;
    const { clientNonce } = (await next()) as Prove;
    send({ type: 'welcome', proof: serverProof({ token, meshId, serverNonce, clientNonce }) });
    if (last === 'welcome') return;
    const { rank = 0, role } = (await next()) as Join;
    const seat = { member: role === 'ffn' ? 1 + rank : rank, rank, attention: 1, ffn: 1 };
    send({ type: 'accepted', ...seat, heartbeatMs: 20, missedHeartbeats: 3 });
  };
  return { socket, send, behave, next };
}
