/** The protocol both sides speak; it must be equal. docs/protocol.md describes this version. */
export const PROTOCOL_VERSION = 1;

/** Longest WebSocket message either side accepts, in bytes. */
export const MAX_FRAME_BYTES: number = 1024 * 1024;

/** Containers within containers; the message itself is the first. */
export const MAX_DEPTH = 24;

/** attention + ffn, or ep. A roster of so many fits one message, see `maxEndpointBytes`. */
export const MAX_MEMBERS = 1024;

/** Meshes of one coordinator. */
export const MAX_CHANNELS = 64;

/** Longest name of a channel, in UTF-16 units. */
export const MAX_CHANNEL_NAME = 64;

/** From the TCP connection to the join message, in milliseconds; whoever takes longer is dropped. */
export const ADMISSION_MS = 5000;

/**
 * Connections that have not joined yet, beyond one for each member; one more drops the oldest. All members may knock at
 * the same moment, so the limit must leave room for them.
 */
export const SPARE_PENDING = 64;

/** A member that reads so slowly that more than this waits for it, in bytes, is dropped. */
export const MAX_BACKLOG_BYTES: number = 4 * MAX_FRAME_BYTES;

/** How long a close waits for the other side's, in milliseconds, before the connection is cut. */
export const CLOSE_MS = 1000;

/** Idle milliseconds before TCP keep-alive probes a connection; ten probes a second apart then decide. */
export const KEEP_ALIVE_MS = 5000;

export const NONCE_BYTES = 32;
export const MESH_ID_BYTES = 16;
export const PROOF_BYTES = 32;

/** Longest text in a `refused` message, in UTF-16 units. */
export const MAX_REASON = 4096;

/** Most fields a configuration mismatch lists. */
export const MAX_MISMATCHES = 32;

/** Longest encoded endpoint descriptor, in bytes: so long that the roster of a full mesh still fits a frame. */
export function maxEndpointBytes(members: number): number {
  return Math.min(16 * 1024, Math.floor((MAX_FRAME_BYTES - 64 * 1024) / members) - 256);
}
