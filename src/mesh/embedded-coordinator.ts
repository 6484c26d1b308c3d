import { deadlineError, invalidArgument, WeftError } from '../errors.js';
import { encode } from './codec.js';
import { configHash } from './config-hash.js';
import type { Coordinator, CoordinatorEvents } from './coordinator.js';
import { Connection, type ConnectionHost } from './coordinator-connection.js';
import type { CoordinatorSettings } from './coordinator-options.js';
import { type ControlServer, openServer } from './coordinator-server.js';
import { maxEndpointBytes } from './limits.js';
import { Listeners } from './listeners.js';
import { Membership } from './membership.js';
import type { Join, ServerMessage } from './messages.js';
import { newMeshId, proofMatches } from './proof.js';
import type { DepartureReason, Member, Roster } from './roster.js';
import { missingText } from './roster.js';

/**
 * Changes within this time are told to those who wait in one message. It grows with the mesh, so that the telling, which
 * costs the square of the members, stays a small part of the joining.
 */
const waitingDelayMs = (members: number): number => 20 + members;

/** The coordinator within this process: membership held in memory, one connection a member. */
export class EmbeddedCoordinator implements Coordinator, ConnectionHost {
  readonly meshId: Uint8Array = newMeshId();
  readonly #settings: CoordinatorSettings;
  readonly #membership: Membership;
  readonly #members: Map<number, Connection> = new Map();
  /** Members and those who are not yet. */
  readonly #open: Set<Connection> = new Set();
  readonly #listeners: Listeners<CoordinatorEvents> = new Listeners();
  #server: ControlServer | undefined;
  #waitingTimer: NodeJS.Timeout | undefined;
  #deadlineTimer: NodeJS.Timeout | undefined;
  #closing: Promise<void> | undefined;
  #unlisten: () => void = () => {};

  constructor(settings: CoordinatorSettings) {
    this.#settings = settings;
    this.#membership = new Membership({ attention: settings.attention, ffn: settings.ffn }, this.meshId);
  }

  get url(): string {
    return this.#server!.url;
  }

  get token(): string {
    return this.#settings.token;
  }

  get roster(): Roster {
    return this.#membership.roster();
  }

  get heartbeatMs(): number {
    return this.#settings.heartbeatMs;
  }

  get missedHeartbeats(): number {
    return this.#settings.missedHeartbeats;
  }

  get logger(): CoordinatorSettings['logger'] {
    return this.#settings.logger;
  }

  on<Name extends keyof CoordinatorEvents>(
    event: Name,
    listener: (event: CoordinatorEvents[Name]) => void,
  ): () => void {
    return this.#listeners.add(event, listener);
  }

  async listen(): Promise<void> {
    const { host, port, tls, attention, ffn } = this.#settings;
    this.#server = await openServer({
      host,
      port,
      tls,
      members: attention + ffn,
      connected: (socket, admit, remote) => {
        const connection = new Connection(socket, this, remote, admit);
        this.#open.add(connection);
        socket.once('close', () => this.#open.delete(connection));
        if (this.#closing !== undefined) connection.close(1001, 'closing');
      },
    });
    this.logger.info({ url: this.url, attention, ffn }, 'coordinator listens');
  }

  closeOn(signal: AbortSignal | undefined): void {
    const close = (): void => void this.close();
    signal?.addEventListener('abort', close, { once: true });
    this.#unlisten = () => signal?.removeEventListener('abort', close);
  }

  join(request: Join): Member {
    this.#check(request);
    return this.#membership.join(request);
  }

  joined(connection: Connection, seat: Member): void {
    const { attention, ffn, heartbeatMs, missedHeartbeats } = this.#settings;
    const { member, rank, role } = seat;
    this.#members.set(member, connection);
    this.logger.info({ member, role, rank }, 'member joined');
    connection.send({ type: 'accepted', member, rank, attention, ffn, heartbeatMs, missedHeartbeats });
    this.#listeners.emit('joined', seat);
    if (this.#membership.epoch > 0) this.#complete();
    else this.#incomplete(connection);
  }

  departed({ member }: Member, reason: DepartureReason): void {
    this.#members.delete(member);
    const departure = this.#membership.depart(member, reason);
    if (departure === undefined || this.#closing !== undefined) return;
    const { epoch } = departure;
    this.logger.info({ ...departure }, 'member departed');
    if (epoch > 0) this.#broadcast({ type: 'departed', member, reason, epoch });
    else this.#incomplete();
    this.#listeners.emit(reason, departure);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#unlisten();
    clearTimeout(this.#waitingTimer);
    clearTimeout(this.#deadlineTimer);
    // A microtask later, `#closing` is set: nobody is told of departures which are our own doing.
    await undefined;
    for (const connection of this.#open) connection.close(1001, 'the coordinator was closed');
    await this.#server?.close();
    this.#listeners.clear();
    this.logger.info({ url: this.#server?.url }, 'coordinator closed');
  }

  /** What the schema cannot see. */
  #check({ config, configHash: theirs, endpoint }: Join): void {
    const limit = maxEndpointBytes(this.#settings.attention + this.#settings.ffn);
    const size = encode(endpoint).byteLength;
    if (size > limit)
      throw invalidArgument('endpoint', `${size} bytes`, `at most ${limit} bytes when encoded`);
    if (!proofMatches(configHash(config), theirs)) {
      throw new WeftError('WEFT_PROTOCOL', 'configHash is not the SHA-256 of the canonical JSON of config');
    }
  }

  #complete(): void {
    clearTimeout(this.#waitingTimer);
    clearTimeout(this.#deadlineTimer);
    const { roster } = this;
    this.logger.info({ members: roster.members.length }, 'mesh complete');
    this.#broadcast({ type: 'roster', ...roster });
    this.#listeners.emit('complete', roster);
  }

  /** Tells who is missing: a newcomer at once, the others a little later, once for many changes. */
  #incomplete(newcomer?: Connection): void {
    const { joinDeadlineMs, attention, ffn } = this.#settings;
    newcomer?.send({ type: 'waiting', missing: this.#membership.missing() });
    this.#waitingTimer ??= setTimeout(
      () => {
        this.#waitingTimer = undefined;
        this.#broadcast({ type: 'waiting', missing: this.#membership.missing() });
      },
      waitingDelayMs(attention + ffn),
    );

    if (this.#membership.size === 0) {
      clearTimeout(this.#deadlineTimer);
      this.#deadlineTimer = undefined;
    } else if (joinDeadlineMs !== undefined) {
      this.#deadlineTimer ??= setTimeout(() => this.#expired(joinDeadlineMs), joinDeadlineMs);
    }
  }

  #expired(deadlineMs: number): void {
    this.#deadlineTimer = undefined;
    const missing = this.#membership.missing();
    const error = deadlineError({
      phase: 'join',
      deadlineMs,
      missing: `${missingText(missing)} at the coordinator`,
      next: 'start the missing ranks, or raise joinDeadlineMs',
      details: { missing },
    });
    for (const connection of [...this.#members.values()]) connection.refuse(error);
  }

  #broadcast(message: ServerMessage): void {
    const frame = encode(message);
    for (const connection of [...this.#members.values()]) connection.sendFrame(frame);
  }
}
