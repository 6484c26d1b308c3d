import { invalidArgument, WeftError } from '../errors.js';
import type { ConfigObject } from './config-hash.js';
import { diffConfig } from './config-hash.js';
import { MAX_MISMATCHES } from './limits.js';
import type { ConfigMismatch } from './message-types.js';
import type { Departure, DepartureReason, Member, MeshShape, MissingRanks, Role, Roster } from './roster.js';
import { memberOf, ranksOf, shapeText, sizeOfMesh } from './roster.js';

/** What somebody who wants to become a member asks for. */
export interface Candidate extends Pick<Member, 'role' | 'nonce' | 'endpoint'> {
  rank?: number | undefined;
  config: ConfigObject;
}

/**
 * Who is in the mesh: ranks, configuration and epoch, without any connection.
 *
 * Until it is complete (epoch 0), whoever departs frees the rank. From then on nobody joins; a departure advances the
 * epoch and the rank stays empty.
 */
export class Membership {
  readonly #shape: MeshShape;
  readonly #meshId: Uint8Array;
  readonly #members: Map<number, Member> = new Map();
  /** Of the first member; forgotten when the last one departs before the mesh is complete. */
  #config: ConfigObject | undefined;
  #epoch = 0;

  constructor(shape: MeshShape, meshId: Uint8Array) {
    this.#shape = shape;
    this.#meshId = meshId;
  }

  get epoch(): number {
    return this.#epoch;
  }

  get size(): number {
    return this.#members.size;
  }

  /** The members so far, or those still there. A copy. */
  roster(): Roster {
    const members = [...this.#members.values()].sort((a, b) => a.member - b.member);
    return { meshId: this.#meshId, epoch: this.#epoch, ...this.#shape, members };
  }

  missing(): MissingRanks {
    const missing: MissingRanks = { attention: this.#free('attention'), ffn: this.#free('ffn') };
    return ranksOf(this.#shape, 'ep') > 0 ? { ...missing, ep: this.#free('ep') } : missing;
  }

  /** Gives the candidate a rank; the last one makes the mesh complete. Throws the refusal. */
  join(candidate: Candidate): Member {
    const { role, nonce, endpoint, config } = candidate;
    const rank = this.#seat(role, candidate.rank);
    if (this.#config !== undefined) refuseDifference(this.#config, config);
    this.#config ??= config;
    const member: Member = { member: memberOf(this.#shape, role, rank), role, rank, nonce, endpoint };
    this.#members.set(member.member, member);
    if (this.#members.size === sizeOfMesh(this.#shape)) this.#epoch = 1;
    return member;
  }

  /** Takes a member out; undefined when there is no such member. */
  depart(member: number, reason: DepartureReason): Departure | undefined {
    const gone = this.#members.get(member);
    if (gone === undefined) return undefined;
    this.#members.delete(member);
    if (this.#epoch > 0) this.#epoch += 1;
    else if (this.#members.size === 0) this.#config = undefined;
    return { member, role: gone.role, rank: gone.rank, reason, epoch: this.#epoch };
  }

  #seat(role: Role, wanted: number | undefined): number {
    const size = ranksOf(this.#shape, role);
    if (size === 0)
      throw invalidArgument('role', role, `a role of this mesh, which has ${shapeText(this.#shape)}`, {
        phase: 'join',
      });
    if (wanted !== undefined && !(Number.isInteger(wanted) && wanted >= 0 && wanted < size)) {
      throw invalidArgument('rank', wanted, `0 to ${size - 1}: this mesh has ${size} ${role} ranks`, {
        phase: 'join',
      });
    }
    if (this.#epoch > 0) {
      throw refusal(
        `this mesh of ${shapeText(this.#shape)} was completed and takes no new members; ` +
          'start a new coordinator for a new mesh',
      );
    }
    const free = this.#free(role);
    const rank = wanted ?? free[0];
    if (rank === undefined) throw refusal(`all ${size} ${role} ranks of this mesh are taken`);
    if (!free.includes(rank)) {
      throw refusal(
        `${role} rank ${rank} is taken; free are: ${free.length === 0 ? 'none' : free.join(', ')}`,
      );
    }
    return rank;
  }

  #free(role: Role): number[] {
    const ranks = Array.from({ length: ranksOf(this.#shape, role) }, (_, rank) => rank);
    return ranks.filter((rank) => !this.#members.has(memberOf(this.#shape, role, rank)));
  }
}

function refuseDifference(expected: ConfigObject, given: ConfigObject): void {
  const differences = diffConfig(expected, given);
  if (differences.length === 0) return;
  const fields: ConfigMismatch[] = differences.slice(0, MAX_MISMATCHES).map(({ field, ours, theirs }) => ({
    field,
    ...(ours !== undefined && { expected: ours }),
    ...(theirs !== undefined && { given: theirs }),
  }));
  const shown = fields.map((f) => `${f.field} (the mesh has ${short(f.expected)}, given ${short(f.given)})`);
  const rest = differences.length - fields.length;
  throw new WeftError(
    'WEFT_CONFIG_MISMATCH',
    `the configuration differs from the mesh's in ${shown.join(', ')}${rest > 0 ? ` and ${rest} more` : ''}; ` +
      'all members must be started with the same one',
    { phase: 'join', details: { fields } },
  );
}

function short(value: unknown): string {
  const text = value === undefined ? 'nothing' : JSON.stringify(value);
  return text.length > 40 ? `${text.slice(0, 37)}...` : text;
}

function refusal(message: string): WeftError {
  return new WeftError('WEFT_STATE', message, { phase: 'join' });
}
