import { invalidArgument, WeftError } from '../errors.js';
import { Channel } from './channel.js';
import { encode } from './codec.js';
import { configHash } from './config-hash.js';
import type { Coordinator, CoordinatorEvents } from './coordinator.js';
import { Connection, type ConnectionHost, type Seat } from './coordinator-connection.js';
import type { CoordinatorSettings } from './coordinator-options.js';
import { type ControlServer, openServer } from './coordinator-server.js';
import { MAX_CHANNELS, maxEndpointBytes } from './limits.js';
import { Listeners } from './listeners.js';
import type { Agree, Join } from './messages.js';
import { newMeshId, proofMatches } from './proof.js';
import type { DepartureReason, Roster } from './roster.js';
import { sizeOfMesh } from './roster.js';

/** The coordinator within this process: its channels held in memory, one connection a member. */
export class EmbeddedCoordinator implements Coordinator, ConnectionHost {
  readonly meshId: Uint8Array = newMeshId();
  readonly #settings: CoordinatorSettings;
  /** By name; '' is always there. */
  readonly #channels: Map<string, Channel> = new Map();
  /** Members and those who are not yet. */
  readonly #open: Set<Connection> = new Set();
  readonly #listeners: Listeners<CoordinatorEvents> = new Listeners();
  #server: ControlServer | undefined;
  #closing: Promise<void> | undefined;
  #unlisten: () => void = () => {};

  constructor(settings: CoordinatorSettings) {
    this.#settings = settings;
    this.#channels.set('', new Channel('', settings, this.meshId));
  }

  get url(): string {
    return this.#server!.url;
  }

  get token(): string {
    return this.#settings.token;
  }

  get roster(): Roster {
    return this.#channels.get('')!.roster;
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
    const { host, port, tls, shape } = this.#settings;
    this.#server = await openServer({
      host,
      port,
      tls,
      members: sizeOfMesh(shape),
      channels: MAX_CHANNELS,
      connected: (socket, admit, remote) => {
        const connection = new Connection(socket, this, remote, admit);
        this.#open.add(connection);
        socket.once('close', () => this.#open.delete(connection));
        if (this.#closing !== undefined) connection.close(1001, 'closing');
      },
    });
    this.logger.info({ url: this.url, ...shape }, 'coordinator listens');
  }

  closeOn(signal: AbortSignal | undefined): void {
    const close = (): void => void this.close();
    signal?.addEventListener('abort', close, { once: true });
    this.#unlisten = () => signal?.removeEventListener('abort', close);
  }

  join(request: Join): Seat {
    this.#check(request);
    const { channel: name = '' } = request;
    const channel = this.#channels.get(name) ?? this.#openChannel(name);
    try {
      return { ...channel.join(request), ...(name !== '' && { channel: name }) };
    } finally {
      this.#drop(channel);
    }
  }

  joined(connection: Connection, seat: Seat): void {
    const { member, rank, role, channel: name } = seat;
    const channel = this.#channels.get(name ?? '')!;
    const mark = name === undefined ? {} : { channel: name };
    this.logger.info({ member, role, rank, ...mark }, 'member joined');
    channel.joined(connection, seat);
    this.#listeners.emit('joined', seat);
    channel.proceed(connection);
    if (!channel.isComplete) return;
    const { roster } = channel;
    this.logger.info({ members: roster.members.length, ...mark }, 'mesh complete');
    this.#listeners.emit('complete', { ...roster, ...mark });
  }

  agree({ member, channel: name }: Seat, proposal: Agree): void {
    const channel = this.#channels.get(name ?? '')!;
    if (!channel.isComplete)
      throw new WeftError('WEFT_STATE', 'this mesh is not complete: there is nothing to agree on');
    channel.agree(member, proposal);
  }

  withdraw({ member, channel: name }: Seat, turn: number): void {
    this.#channels.get(name ?? '')!.withdraw(member, turn);
  }

  departed({ member, channel: name }: Seat, reason: DepartureReason): void {
    const channel = this.#channels.get(name ?? '');
    const departure = channel?.depart(member, reason);
    if (channel === undefined || departure === undefined || this.#closing !== undefined) return;
    const told = { ...departure, ...(name !== undefined && { channel: name }) };
    this.logger.info(told, 'member departed');
    channel.tell(departure);
    this.#drop(channel);
    this.#listeners.emit(reason, told);
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
    for (const channel of this.#channels.values()) channel.stop();
    // A microtask later, `#closing` is set: nobody is told of departures which are our own doing.
    await undefined;
    for (const connection of this.#open) connection.close(1001, 'the coordinator was closed');
    await this.#server?.close();
    this.#listeners.clear();
    this.logger.info({ url: this.#server?.url }, 'coordinator closed');
  }

  /** What the schema cannot see. */
  #check({ config, configHash: theirs, endpoint }: Join): void {
    const limit = maxEndpointBytes(sizeOfMesh(this.#settings.shape));
    const size = encode(endpoint).byteLength;
    if (size > limit)
      throw invalidArgument('endpoint', `${size} bytes`, `at most ${limit} bytes when encoded`);
    if (!proofMatches(configHash(config), theirs)) {
      throw new WeftError('WEFT_PROTOCOL', 'configHash is not the SHA-256 of the canonical JSON of config');
    }
  }

  #openChannel(name: string): Channel {
    if (this.#channels.size >= MAX_CHANNELS)
      throw new WeftError(
        'WEFT_STATE',
        `this coordinator has ${MAX_CHANNELS} channels already, and "${name}" would be one more; start another coordinator`,
        { phase: 'join', details: { channel: name, allowed: MAX_CHANNELS } },
      );
    const channel = new Channel(name, this.#settings, this.meshId);
    this.#channels.set(name, channel);
    return channel;
  }

  /** A channel that nobody has completed, and where nobody is any more, is as if it had never been. */
  #drop(channel: Channel): void {
    if (channel.name === '' || !channel.isVacant) return;
    channel.stop();
    this.#channels.delete(channel.name);
  }
}
