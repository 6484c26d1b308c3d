import type { ConfigObject, ConfigValue } from './config-hash.js';
import type { DepartureReason, EndpointDescriptor, MeshShape, MissingRanks, Role, Roster } from './roster.js';

/** First message of the coordinator. */
export interface Challenge {
  type: 'challenge';
  /** `PROTOCOL_VERSION` of the coordinator. Of this message, this field and `type` never change. */
  protocol: number;
  meshId: Uint8Array;
  serverNonce: Uint8Array;
}

/** First message of a client: it knows the token. */
export interface Prove {
  type: 'prove';
  protocol: number;
  clientNonce: Uint8Array;
  /** `clientProof` */
  proof: Uint8Array;
}

/** The coordinator knows it too. */
export interface Welcome {
  type: 'welcome';
  /** `serverProof` */
  proof: Uint8Array;
}

export interface Join {
  type: 'join';
  role: Role;
  /** Absent: the lowest free one. */
  rank?: number;
  /** Which of the coordinator's meshes. Absent: ''. */
  channel?: string;
  /** For the proofs of the data plane. */
  nonce: Uint8Array;
  config: ConfigObject;
  /** `configHash(config)`: shows that both sides write canonical JSON alike. */
  configHash: Uint8Array;
  endpoint: EndpointDescriptor;
}

export interface Accepted extends MeshShape {
  type: 'accepted';
  member: number;
  rank: number;
  /** Interval of the coordinator's pings. */
  heartbeatMs: number;
  /** Intervals without a sign of life after which either side gives the other up. */
  missedHeartbeats: number;
}

/** Sent while the mesh is incomplete, after `accepted` and when that changes. */
export interface Waiting {
  type: 'waiting';
  missing: MissingRanks;
  /** Whose configuration differs, the last one. */
  turnedAway?: TurnedAway;
}

/** Somebody whom the coordinator has refused, for the others to know whom they wait for. */
export interface TurnedAway {
  role: Role;
  /** That it asked for. */
  rank?: number;
  reason: string;
}

/** The mesh is complete. */
export interface RosterMessage extends Roster {
  type: 'roster';
}

export interface Departed {
  type: 'departed';
  member: number;
  reason: DepartureReason;
  epoch: number;
}

/** The last message to whom the coordinator turns away. */
export interface Refused {
  type: 'refused';
  code: RefusalCode;
  reason: string;
  /** With WEFT_CONFIG_MISMATCH. */
  fields?: ConfigMismatch[];
  /** With WEFT_DEADLINE. */
  missing?: MissingRanks;
}

/** A field of the configuration: as the mesh has it, and as the refused client has it. */
export interface ConfigMismatch {
  field: string;
  expected?: ConfigValue;
  given?: ConfigValue;
}

/** The client leaves; the coordinator answers by closing the connection. */
export interface Leave {
  type: 'leave';
}

/** The client goes on without these members, besides those who have departed, and waits for what all others say. */
export interface Agree {
  type: 'agree';
  /** Its own count, for the answer. */
  turn: number;
  /** Members. */
  without: number[];
}

/** What the client said in that turn does not count any more: it waits for no answer. */
export interface Withdraw {
  type: 'withdraw';
  turn: number;
}

/** All whom nobody suspects have said so: who has departed up to this epoch is gone, for all of them. */
export interface Agreed {
  type: 'agreed';
  turn: number;
  epoch: number;
}

/** The errors a coordinator answers with. */
export type RefusalCode =
  | 'WEFT_AUTH'
  | 'WEFT_CONFIG_MISMATCH'
  | 'WEFT_DEADLINE'
  | 'WEFT_INVALID_ARGUMENT'
  | 'WEFT_PROTOCOL'
  | 'WEFT_STATE';

export type ClientMessage = Prove | Join | Leave | Agree | Withdraw;
export type ServerMessage =
  | Challenge
  | Welcome
  | Accepted
  | Waiting
  | RosterMessage
  | Departed
  | Agreed
  | Refused;
export type ControlMessage = ClientMessage | ServerMessage;
