import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect } from 'vitest';
import { WebSocket } from 'ws';
import type { WeftCode, WeftError } from '../../../src/errors.js';
import { isWeftError } from '../../../src/errors.js';
import { encode } from '../../../src/mesh/codec.js';
import { configHash, toConfigObject } from '../../../src/mesh/config-hash.js';
import { type JoinControlOptions, joinControl } from '../../../src/mesh/control-client.js';
import type { ControlSession } from '../../../src/mesh/control-session.js';
import {
  type Coordinator,
  type CoordinatorOptions,
  startCoordinator,
} from '../../../src/mesh/coordinator.js';
import type { Challenge, Join, ServerMessage } from '../../../src/mesh/messages.js';
import { parseServerMessage } from '../../../src/mesh/messages.js';
import { clientProof, newNonce } from '../../../src/mesh/proof.js';
import type { EndpointDescriptor, Role } from '../../../src/mesh/roster.js';

export const config = { hidden: 256, maxTokens: 8, experts: { count: 4, topK: 2 } };

export function endpoint(key = 'test'): EndpointDescriptor {
  return { host: 'boot', netns: 'net:[1]', uid: 0, pid: process.pid, transports: { loopback: { key } } };
}

export function join(
  coordinator: Pick<Coordinator, 'url' | 'token'>,
  role: Role,
  options: Partial<JoinControlOptions> = {},
): Promise<ControlSession> {
  const { url, token } = coordinator;
  return joinControl({
    coordinator: url,
    token,
    role,
    config,
    endpoint: endpoint(),
    deadlineMs: 10_000,
    ...options,
  });
}

/** The WeftError that `promise` rejects with, which must have `code`. */
export async function failure(promise: Promise<unknown>, code: WeftCode): Promise<WeftError> {
  const error: unknown = await promise.then(
    () => expect.fail(`resolved, where ${code} was expected`),
    (reason: unknown) => reason,
  );
  if (!isWeftError(error)) throw error;
  expect(error.code, error.message).toBe(code);
  return error;
}

export async function until(what: string, condition: () => boolean, ms = 5000): Promise<void> {
  const end = performance.now() + ms;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`${what}: not within ${ms} ms`);
    await sleep(5);
    // Out of the timer's own callback, in which it still counts as active.
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Sockets, servers and timers that keep this process alive. */
export function activeHandles(): string[] {
  return process.getActiveResourcesInfo().filter((name) => /TCP|TLS|Timeout/.test(name));
}

/** Waits until there are no handles beyond those of `before`; some of those may be gone too. */
export async function noMoreHandles(before: string[]): Promise<void> {
  const extra = (): string[] => {
    const rest = [...before];
    return activeHandles().filter(
      (name) => !rest.includes(name) || rest.splice(rest.indexOf(name), 1).length === 0,
    );
  };
  await until('no handles are left', () => extra().length === 0);
}

/** A client that can be made to misbehave: it sends what the test says. */
export class RawClient {
  readonly socket: WebSocket;
  readonly received: ServerMessage[] = [];
  closed: { code: number } | undefined;

  constructor(url: string) {
    this.socket = new WebSocket(url, { perMessageDeflate: false });
    this.socket.on('message', (data) => this.received.push(parseServerMessage(data as Buffer)));
    this.socket.on('error', () => {});
    this.socket.on('close', (code) => {
      this.closed = { code };
    });
  }

  send(message: unknown): void {
    this.socket.send(encode(message));
  }

  /** The first message of a type; waits for it. */
  async get<Type extends ServerMessage['type']>(type: Type): Promise<Extract<ServerMessage, { type: Type }>> {
    const find = (): ServerMessage | undefined => this.received.find((message) => message.type === type);
    await until(`message "${type}"`, () => find() !== undefined || this.closed !== undefined);
    return find() as Extract<ServerMessage, { type: Type }>;
  }

  async prove(token: string): Promise<Challenge> {
    const challenge = await this.get('challenge');
    const clientNonce = newNonce();
    const proof = clientProof({ token, ...challenge, clientNonce });
    this.send({ type: 'prove', protocol: challenge.protocol, clientNonce, proof });
    return challenge;
  }

  /** Proves and joins; the changes go into the join message. */
  async join(token: string, changes: Partial<Record<keyof Join, unknown>> = {}): Promise<void> {
    await this.prove(token);
    await this.get('welcome');
    const agreed = (changes.config ?? toConfigObject(config)) as object;
    const hash = configHash(agreed);
    this.send({
      type: 'join',
      role: 'attention',
      nonce: newNonce(),
      config: agreed,
      configHash: hash,
      endpoint: endpoint(),
      ...changes,
    });
  }

  async end(): Promise<void> {
    await until('close', () => this.closed !== undefined);
  }
}

export interface Meshes {
  start(attention: number, ffn: number, options?: Partial<CoordinatorOptions>): Promise<Coordinator>;
  enter(coordinator: Coordinator, role: Role, options?: Partial<JoinControlOptions>): Promise<ControlSession>;
  /** All members of a mesh, in any order of arrival. */
  full(coordinator: Coordinator, attention: number, ffn: number): Promise<ControlSession[]>;
  /** Closed after the test. */
  keep<Thing extends { close(): Promise<void> }>(thing: Thing): Thing;
}

/** Coordinators and sessions that are closed after each test of the file. */
export function useMeshes(): Meshes {
  const open: { close(): Promise<void> }[] = [];
  afterEach(async () => {
    await Promise.all(open.splice(0).map((each) => each.close()));
  });
  const keep: Meshes['keep'] = (thing) => {
    open.push(thing);
    return thing;
  };
  const enter: Meshes['enter'] = async (...args) => keep(await join(...args));
  return {
    keep,
    enter,
    start: async (attention, ffn, options = {}) =>
      keep(await startCoordinator({ attention, ffn, ...options })),
    full: (coordinator, attention, ffn) => {
      const roles = [...Array<Role>(attention).fill('attention'), ...Array<Role>(ffn).fill('ffn')];
      return Promise.all(roles.map((role) => enter(coordinator, role)));
    },
  };
}
