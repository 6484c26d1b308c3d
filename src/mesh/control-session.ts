import { closedError, deadlineError, WeftError } from '../errors.js';
import { refusedError } from './control-handshake.js';
import type { ControlLink } from './control-link.js';
import { Heartbeat } from './heartbeat.js';
import { CLOSE_MS } from './limits.js';
import { call, Listeners } from './listeners.js';
import type { Accepted, Departed, RosterMessage, ServerMessage } from './messages.js';
import type { Departure, MissingRanks, Role, Roster } from './roster.js';
import { missingText, seatOf } from './roster.js';
import { Scope } from './scope.js';

export interface WaitOptions {
  /** Milliseconds from now, Infinity for no limit. Default 60,000. */
  deadlineMs?: number | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * A member's connection to its coordinator. It keeps the process alive until it is closed. When the coordinator is
 * gone the session stays as it is, tells `onCoordinatorLost`, and hears of no more departures; it does not reconnect.
 */
export interface ControlSession extends AsyncDisposable {
  readonly role: Role;
  readonly rank: number;
  /** Mesh-wide id of this member. */
  readonly member: number;
  /** 16 bytes. */
  readonly meshId: Uint8Array;
  /** This member's 32 bytes for the proofs of the data plane. */
  readonly nonce: Uint8Array;
  readonly attention: number;
  readonly ffn: number;
  /** 0 until the mesh is complete, then 1, and one more with every departure heard of. */
  readonly epoch: number;
  /** Who is missing, as last heard; undefined once the mesh is complete. */
  readonly missing: MissingRanks | undefined;
  /** In the order heard of. */
  readonly departed: readonly Departure[];
  /**
   * The roster of the complete mesh, at epoch 1, as often as it is asked for. Rejects with WEFT_DEADLINE (naming the
   * missing ranks, `details.missing`), WEFT_ABORTED, WEFT_UNAVAILABLE when the coordinator is gone before, WEFT_CLOSED.
   * After a deadline or an abort the session goes on waiting, and it can be asked again.
   */
  roster(options?: WaitOptions): Promise<Roster>;
  /**
   * Calls `listener` for every member that departs from the complete mesh; first, at once, for those that already
   * have. Returns the function that takes it away again.
   */
  onDeparted(listener: (departure: Departure) => void): () => void;
  /** Calls `listener` when the coordinator is gone or drops this member; at once when that has happened already. */
  onCoordinatorLost(listener: (error: WeftError) => void): () => void;
  /** Tells the coordinator that this member leaves, and closes. Idempotent; never rejects. */
  leave(): Promise<void>;
  /** The same as `leave`. */
  close(): Promise<void>;
}

export interface SessionStart {
  link: ControlLink;
  role: Role;
  meshId: Uint8Array;
  nonce: Uint8Array;
  accepted: Accepted;
}

interface SessionEvents {
  departed: Departure;
  coordinatorLost: WeftError;
}

/** A session over a link on which `accepted` has been received. */
export class OpenSession implements ControlSession {
  readonly role: Role;
  readonly rank: number;
  readonly member: number;
  readonly meshId: Uint8Array;
  readonly nonce: Uint8Array;
  readonly attention: number;
  readonly ffn: number;
  readonly departed: Departure[] = [];
  epoch = 0;
  missing: MissingRanks | undefined;
  readonly #link: ControlLink;
  readonly #heartbeat: Heartbeat;
  readonly #listeners: Listeners<SessionEvents> = new Listeners();
  readonly #complete: Promise<Roster>;
  #settle!: { resolve: (roster: Roster) => void; reject: (error: WeftError) => void };
  #end: WeftError | undefined;
  #leaving: Promise<void> | undefined;

  constructor({ link, role, meshId, nonce, accepted }: SessionStart) {
    ({ member: this.member, rank: this.rank, attention: this.attention, ffn: this.ffn } = accepted);
    this.role = role;
    this.meshId = meshId;
    this.nonce = nonce;
    this.#link = link;
    this.#complete = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    // Nobody may be asking for the roster.
    this.#complete.catch(() => {});
    this.#heartbeat = new Heartbeat({
      intervalMs: accepted.heartbeatMs,
      missed: accepted.missedHeartbeats,
      lost: () => void link.destroy(this.#unavailable('the coordinator went silent')),
    });
    link.onPing(() => this.#heartbeat.alive());
    link.read({ message: (message) => this.#received(message), ended: (error) => this.#ended(error) });
  }

  async roster({ deadlineMs = 60_000, signal }: WaitOptions = {}): Promise<Roster> {
    const expired = (): WeftError => this.#incomplete(deadlineMs);
    const scope = new Scope({ deadlineMs, signal, phase: 'join', expired });
    try {
      return await scope.race(this.#complete);
    } finally {
      scope.close();
    }
  }

  onDeparted(listener: (departure: Departure) => void): () => void {
    for (const departure of this.departed) call(listener, departure);
    return this.#listeners.add('departed', listener);
  }

  onCoordinatorLost(listener: (error: WeftError) => void): () => void {
    if (this.#end !== undefined && this.#leaving === undefined) call(listener, this.#end);
    return this.#listeners.add('coordinatorLost', listener);
  }

  leave(): Promise<void> {
    this.#leaving ??= this.#leave();
    return this.#leaving;
  }

  close(): Promise<void> {
    return this.leave();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.leave();
  }

  async #leave(): Promise<void> {
    this.#heartbeat.stop();
    this.#listeners.clear();
    this.#settle.reject(closedError('this control session', 'join'));
    if (this.#end === undefined) this.#link.send({ type: 'leave' });
    await this.#link.drained(CLOSE_MS);
  }

  #received(message: ServerMessage): void {
    this.#heartbeat.alive();
    switch (message.type) {
      case 'waiting':
        this.missing = message.missing;
        break;
      case 'roster':
        this.#setRoster(message);
        break;
      case 'departed':
        this.#setDeparted(message);
        break;
      case 'refused':
        void this.#link.destroy(refusedError(message));
        break;
      default:
        throw new WeftError('WEFT_PROTOCOL', `the coordinator sent "${message.type}" to a member`);
    }
  }

  #setRoster({ type: _, ...roster }: RosterMessage): void {
    const { attention, ffn, members, epoch } = roster;
    const own = members[this.member];
    const valid =
      this.epoch === 0 &&
      epoch === 1 &&
      attention === this.attention &&
      ffn === this.ffn &&
      Buffer.from(roster.meshId).equals(this.meshId) &&
      members.length === attention + ffn &&
      members.every((entry, i) => {
        const seat = seatOf(roster, i);
        return entry.member === i && entry.role === seat.role && entry.rank === seat.rank;
      }) &&
      own !== undefined &&
      Buffer.from(own.nonce).equals(this.nonce);
    if (!valid) throw new WeftError('WEFT_PROTOCOL', 'the coordinator sent a roster that contradicts itself');
    this.epoch = epoch;
    this.missing = undefined;
    this.#settle.resolve(roster);
  }

  #setDeparted({ member, reason, epoch }: Departed): void {
    const known = member < this.attention + this.ffn && !this.departed.some((d) => d.member === member);
    if (this.epoch === 0 || epoch <= this.epoch || !known) {
      throw new WeftError('WEFT_PROTOCOL', 'the coordinator reported a departure that cannot be');
    }
    this.epoch = epoch;
    const departure: Departure = { member, ...seatOf(this, member), reason, epoch };
    this.departed.push(departure);
    this.#listeners.emit('departed', departure);
  }

  #ended(error: WeftError): void {
    this.#end = error;
    this.#heartbeat.stop();
    this.#settle.reject(error);
    this.#listeners.emit('coordinatorLost', error);
  }

  #incomplete(deadlineMs: number): WeftError {
    const { missing } = this;
    return deadlineError({
      phase: 'join',
      deadlineMs,
      missing: missing === undefined ? 'word from the coordinator' : missingText(missing),
      next: 'start the missing ranks, or raise deadlineMs',
      details: { ...(missing && { missing }) },
    });
  }

  #unavailable(message: string): WeftError {
    return new WeftError('WEFT_UNAVAILABLE', message, { phase: 'join' });
  }
}
