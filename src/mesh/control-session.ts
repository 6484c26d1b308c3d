import { abortedError, closedError, deadlineError, WeftError } from '../errors.js';
import { refusedError } from './control-handshake.js';
import type { ControlLink } from './control-link.js';
import { Heartbeat } from './heartbeat.js';
import { CLOSE_MS } from './limits.js';
import { call, Listeners } from './listeners.js';
import type { Accepted, Agreed, Departed, RosterMessage, ServerMessage, TurnedAway } from './messages.js';
import type { Departure, MeshShape, MissingRanks, Role, Roster } from './roster.js';
import { missingText, ROLES, ranksOf, seatOf, sizeOfMesh } from './roster.js';
import { Scope } from './scope.js';
import { nextStep } from './turned-away.js';

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
  readonly shape: MeshShape;
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
  /**
   * Resolves with an epoch when every member that nobody suspects has said who is gone; `without`: members that this one
   * goes on without, besides those who have departed. Those who departed up to that epoch are gone for all, which are
   * told the same. Rejects with WEFT_DEADLINE, WEFT_ABORTED, WEFT_UNAVAILABLE when the coordinator is gone, WEFT_STATE when
   * this member was expelled, or is agreeing already.
   */
  agree(without: readonly number[], options: WaitOptions): Promise<number>;
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
  readonly shape: MeshShape;
  readonly departed: Departure[] = [];
  epoch = 0;
  missing: MissingRanks | undefined;
  #turnedAway: TurnedAway | undefined;
  readonly #link: ControlLink;
  readonly #heartbeat: Heartbeat;
  readonly #listeners: Listeners<SessionEvents> = new Listeners();
  readonly #complete: Promise<Roster>;
  #settle!: { resolve: (roster: Roster) => void; reject: (error: WeftError) => void };
  #end: WeftError | undefined;
  #turn = 0;
  #lateEpoch: number | undefined;
  #agreeing:
    | {
        turn: number;
        without: readonly number[];
        resolve: (answer: Agreed) => void;
        reject: (error: WeftError) => void;
      }
    | undefined;
  #leaving: Promise<void> | undefined;

  constructor({ link, role, meshId, nonce, accepted }: SessionStart) {
    ({ member: this.member, rank: this.rank } = accepted);
    const { attention, ffn, ep } = accepted;
    this.shape = { attention, ffn, ...(ep !== undefined && { ep }) };
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

  async agree(without: readonly number[], { deadlineMs = 60_000, signal }: WaitOptions): Promise<number> {
    if (this.#end !== undefined) throw this.#end;
    if (signal?.aborted) throw abortedError(signal, 'agree');
    if (this.#agreeing !== undefined)
      throw new WeftError('WEFT_STATE', 'an agreement is being waited for already', { phase: 'agree' });
    // An answer that crossed our giving it up holds while it is about all that is known.
    const late = this.#lateEpoch;
    this.#lateEpoch = undefined;
    if (late !== undefined && late === this.epoch && without.every((member) => this.#isGone(member)))
      return late;
    const turn = ++this.#turn;
    const expired = (): WeftError =>
      deadlineError({
        phase: 'agree',
        deadlineMs,
        missing: 'agreement: a member has not said who is gone',
        next: 'every member that is left must call agree(); name those that do not in `without`',
      });
    const scope = new Scope({ deadlineMs, signal, phase: 'agree', expired });
    let answered = -1;
    try {
      const agreed = new Promise<Agreed>((resolve, reject) => {
        this.#agreeing = { turn, without, resolve, reject };
      });
      agreed.catch(() => {});
      this.#link.send({ type: 'agree', turn, without: [...without] });
      const { turn: of, epoch } = await scope.race(agreed);
      answered = of;
      return epoch;
    } finally {
      this.#agreeing = undefined;
      scope.close();
      if (answered !== turn && this.#end === undefined) this.#link.send({ type: 'withdraw', turn });
    }
  }

  #isGone(member: number): boolean {
    return this.departed.some((departure) => departure.member === member);
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
        this.#turnedAway = message.turnedAway;
        break;
      case 'roster':
        this.#setRoster(message);
        break;
      case 'departed':
        this.#setDeparted(message);
        break;
      case 'agreed':
        if (this.#agreeing === undefined) this.#lateEpoch = message.epoch;
        else if (message.turn === this.#agreeing.turn || this.#agreeing.without.every((m) => this.#isGone(m)))
          this.#agreeing.resolve(message);
        break;
      case 'refused':
        void this.#link.destroy(refusedError(message));
        break;
      default:
        throw new WeftError('WEFT_PROTOCOL', `the coordinator sent "${message.type}" to a member`);
    }
  }

  #setRoster({ type: _, ...roster }: RosterMessage): void {
    const { members, epoch } = roster;
    const own = members[this.member];
    const valid =
      this.epoch === 0 &&
      epoch === 1 &&
      ROLES.every((role) => ranksOf(roster, role) === ranksOf(this.shape, role)) &&
      Buffer.from(roster.meshId).equals(this.meshId) &&
      members.length === sizeOfMesh(roster) &&
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
    const known = member < sizeOfMesh(this.shape) && !this.departed.some((d) => d.member === member);
    if (this.epoch === 0 || epoch <= this.epoch || !known) {
      throw new WeftError('WEFT_PROTOCOL', 'the coordinator reported a departure that cannot be');
    }
    this.epoch = epoch;
    const departure: Departure = { member, ...seatOf(this.shape, member), reason, epoch };
    this.departed.push(departure);
    this.#listeners.emit('departed', departure);
  }

  #ended(error: WeftError): void {
    this.#end = error;
    this.#heartbeat.stop();
    this.#settle.reject(error);
    this.#agreeing?.reject(error);
    this.#listeners.emit('coordinatorLost', error);
  }

  #incomplete(deadlineMs: number): WeftError {
    const { missing } = this;
    return deadlineError({
      phase: 'join',
      deadlineMs,
      missing: missing === undefined ? 'word from the coordinator' : missingText(missing),
      next: nextStep(this.#turnedAway, 'deadlineMs'),
      details: { ...(missing && { missing }), ...(this.#turnedAway && { turnedAway: this.#turnedAway }) },
    });
  }

  #unavailable(message: string): WeftError {
    return new WeftError('WEFT_UNAVAILABLE', message, { phase: 'join' });
  }
}
