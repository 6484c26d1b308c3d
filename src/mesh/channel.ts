import { createHash } from 'node:crypto';
import { deadlineError, isWeftError, WeftError } from '../errors.js';
import { Agreement } from './agreement.js';
import { encode } from './codec.js';
import type { CoordinatorSettings } from './coordinator-options.js';
import { MAX_REASON, MESH_ID_BYTES } from './limits.js';
import { Membership } from './membership.js';
import type { Agree, Join, ServerMessage, TurnedAway, Waiting } from './messages.js';
import type { Departure, DepartureReason, Member, Roster } from './roster.js';
import { missingText, sizeOfMesh } from './roster.js';
import { nextStep, stillMissing } from './turned-away.js';

/**
 * Changes within this time are told to those who wait in one message. It grows with the mesh, so that the telling, which
 * costs the square of the members, stays a small part of the joining.
 */
const waitingDelayMs = (members: number): number => 20 + members;

/** The id of a channel's mesh: the coordinator's for '', for others made of that and the name. */
export function channelMeshId(meshId: Uint8Array, channel: string): Uint8Array {
  if (channel === '') return meshId;
  return createHash('sha256').update(meshId).update(channel, 'utf8').digest().subarray(0, MESH_ID_BYTES);
}

/** A member's connection, as its channel knows it. */
export interface ChannelConnection {
  send(message: ServerMessage): void;
  sendFrame(frame: Buffer): void;
  refuse(error: WeftError): void;
}

/** One mesh of a coordinator: its members, who is told what of them, and its join deadline. */
export class Channel {
  readonly name: string;
  readonly #settings: CoordinatorSettings;
  readonly #membership: Membership;
  readonly #members: Map<number, ChannelConnection> = new Map();
  readonly #agreement: Agreement = new Agreement();
  /** The last one since all had left. */
  #turnedAway: TurnedAway | undefined;
  #waitingTimer: NodeJS.Timeout | undefined;
  #deadlineTimer: NodeJS.Timeout | undefined;

  /** `meshId`: the coordinator's. */
  constructor(name: string, settings: CoordinatorSettings, meshId: Uint8Array) {
    this.name = name;
    this.#settings = settings;
    this.#membership = new Membership(settings.shape, channelMeshId(meshId, name));
  }

  get roster(): Roster {
    return this.#membership.roster();
  }

  get isComplete(): boolean {
    return this.#membership.epoch > 0;
  }

  /** Nobody is here, and what was agreed is forgotten. */
  get isVacant(): boolean {
    return this.#membership.epoch === 0 && this.#membership.size === 0;
  }

  /** Gives the candidate a rank. Throws the refusal. */
  join(request: Join): Member {
    try {
      return this.#membership.join(request);
    } catch (error) {
      if (isWeftError(error) && error.code === 'WEFT_CONFIG_MISMATCH') this.#turnAway(request, error);
      throw error;
    }
  }

  /** Those who wait are told why a rank does not come. */
  #turnAway({ role, rank }: Join, { message }: WeftError): void {
    const reason = message.slice(0, MAX_REASON);
    this.#turnedAway = { role, ...(rank !== undefined && { rank }), reason };
    this.#incomplete();
  }

  /** Tells the newcomer and the others. */
  joined(connection: ChannelConnection, { member, rank }: Member): void {
    const { shape, heartbeatMs, missedHeartbeats } = this.#settings;
    this.#members.set(member, connection);
    connection.send({ type: 'accepted', member, rank, ...shape, heartbeatMs, missedHeartbeats });
  }

  /** Follows `joined`. */
  proceed(newcomer: ChannelConnection): void {
    if (this.isComplete) {
      this.stop();
      this.#broadcast({ type: 'roster', ...this.roster });
    } else {
      this.#incomplete(newcomer);
    }
  }

  /** Takes a member out; undefined when it is none. */
  depart(member: number, reason: DepartureReason): Departure | undefined {
    this.#members.delete(member);
    const departure = this.#membership.depart(member, reason);
    if (this.isVacant) this.#turnedAway = undefined;
    return departure;
  }

  /** Tells those who are still there. */
  tell({ member, reason, epoch }: Departure): void {
    if (epoch > 0) {
      this.#broadcast({ type: 'departed', member, reason, epoch });
      this.#agreement.departed(member);
      this.#settle();
    } else this.#incomplete();
  }

  /** A member says who is gone; when that makes it unanimous, those who stay are told, behind all departures. */
  agree(member: number, { turn, without }: Agree): void {
    this.#agreement.propose(member, { turn, without });
    this.#settle();
  }

  withdraw(member: number, turn: number): void {
    this.#agreement.withdraw(member, turn);
  }

  #settle(): void {
    const decision = this.#agreement.settle([...this.#members.keys()]);
    if (decision === undefined) return;
    for (const member of decision.expelled)
      this.#members
        .get(member)
        ?.refuse(
          new WeftError('WEFT_STATE', 'the other members of this mesh have agreed to go on without this one'),
        );
    const { epoch } = this.#membership;
    for (const [member, turn] of decision.told)
      this.#members.get(member)?.send({ type: 'agreed', turn, epoch });
  }

  /** Ends its timers. */
  stop(): void {
    clearTimeout(this.#waitingTimer);
    clearTimeout(this.#deadlineTimer);
  }

  /** Tells who is missing: a newcomer at once, the others a little later, once for many changes. */
  #incomplete(newcomer?: ChannelConnection): void {
    const { joinDeadlineMs, shape } = this.#settings;
    newcomer?.send(this.#waiting());
    this.#waitingTimer ??= setTimeout(
      () => {
        this.#waitingTimer = undefined;
        this.#broadcast(this.#waiting());
      },
      waitingDelayMs(sizeOfMesh(shape)),
    );

    if (this.#membership.size === 0) {
      clearTimeout(this.#deadlineTimer);
      this.#deadlineTimer = undefined;
    } else if (joinDeadlineMs !== undefined) {
      this.#deadlineTimer ??= setTimeout(() => this.#expired(joinDeadlineMs), joinDeadlineMs);
    }
  }

  #waiting(): Waiting {
    const missing = this.#membership.missing();
    const turnedAway = stillMissing(this.#turnedAway, missing);
    return { type: 'waiting', missing, ...(turnedAway && { turnedAway }) };
  }

  #expired(deadlineMs: number): void {
    this.#deadlineTimer = undefined;
    const missing = this.#membership.missing();
    const error = deadlineError({
      phase: 'join',
      deadlineMs,
      missing: `${missingText(missing)} at the coordinator`,
      next: nextStep(stillMissing(this.#turnedAway, missing), 'joinDeadlineMs'),
      details: { missing },
    });
    for (const connection of [...this.#members.values()]) connection.refuse(error);
  }

  #broadcast(message: ServerMessage): void {
    const frame = encode(message);
    for (const connection of [...this.#members.values()]) connection.sendFrame(frame);
  }
}
