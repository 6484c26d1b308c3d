import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { MESH_ID_BYTES, NONCE_BYTES, PROOF_BYTES } from './limits.js';

/**
 * Proofs that both ends of a connection know the mesh token, without sending it. Every proof is HMAC-SHA256 with the
 * token's UTF-8 bytes as its key, over a label and fields of fixed length, so that no two meanings share a byte string.
 * The labels differ by direction: a proof cannot be sent back to whoever made it.
 *
 * A proof shows who was there when the connection was made; it does not protect the bytes after it. Where others can
 * touch the network between the hosts, use TLS.
 */
export interface ControlProofInput {
  token: string;
  /** 16 bytes, from the challenge. */
  meshId: Uint8Array;
  /** 32 bytes, from the challenge. */
  serverNonce: Uint8Array;
  /** 32 bytes, from the answer to it. */
  clientNonce: Uint8Array;
}

/** HMAC(token, ascii "tensorweft control client", meshId 16 B, serverNonce 32 B, clientNonce 32 B): 32 bytes. */
export function clientProof(input: ControlProofInput): Buffer {
  return controlProof('tensorweft control client', input);
}

/** HMAC(token, ascii "tensorweft control server", meshId 16 B, serverNonce 32 B, clientNonce 32 B): 32 bytes. */
export function serverProof(input: ControlProofInput): Buffer {
  return controlProof('tensorweft control server', input);
}

function controlProof(label: string, input: ControlProofInput): Buffer {
  return createHmac('sha256', input.token)
    .update(label, 'ascii')
    .update(sized('meshId', input.meshId, MESH_ID_BYTES))
    .update(sized('serverNonce', input.serverNonce, NONCE_BYTES))
    .update(sized('clientNonce', input.clientNonce, NONCE_BYTES))
    .digest();
}

export interface DataProofInput {
  token: string;
  /** 16 bytes. */
  meshId: Uint8Array;
  /** Epoch of the roster the two connect under. */
  epoch: number | bigint;
  /** Member id of the side that sends this proof, 32 bits. */
  from: number;
  /** Member id of the side that checks it. */
  to: number;
  /** 32 bytes: the nonce that member `from` put into its join message. */
  fromNonce: Uint8Array;
  /** 32 bytes: the nonce that member `to` put into its join message. */
  toNonce: Uint8Array;
}

/**
 * The proof of a data-plane handshake, 32 bytes: HMAC-SHA256 with key `token` (UTF-8) over these 111 bytes, with no
 * padding between them:
 *
 * | offset | bytes | what |
 * |---|---|---|
 * | 0 | 15 | ascii "tensorweft data", no terminator |
 * | 15 | 16 | meshId |
 * | 31 | 8 | epoch, u64 little-endian |
 * | 39 | 4 | from, u32 little-endian |
 * | 43 | 4 | to, u32 little-endian |
 * | 47 | 32 | fromNonce |
 * | 79 | 32 | toNonce |
 *
 * Both sides send one, with from and to exchanged. It binds the pair, its direction and the epoch, so it is of no use between others or after a departure; within the epoch it is the same each time.
 */
export function dataProof(input: DataProofInput): Buffer {
  const numbers = Buffer.alloc(16);
  numbers.writeBigUInt64LE(BigInt(input.epoch), 0);
  numbers.writeUInt32LE(input.from, 8);
  numbers.writeUInt32LE(input.to, 12);
  return createHmac('sha256', input.token)
    .update('tensorweft data', 'ascii')
    .update(sized('meshId', input.meshId, MESH_ID_BYTES))
    .update(numbers)
    .update(sized('fromNonce', input.fromNonce, NONCE_BYTES))
    .update(sized('toNonce', input.toNonce, NONCE_BYTES))
    .digest();
}

/** Whether a received proof is the expected one, in time that does not depend on where they differ. */
export function proofMatches(expected: Uint8Array, given: Uint8Array): boolean {
  return given.byteLength === PROOF_BYTES && timingSafeEqual(expected, given);
}

export function newNonce(): Buffer {
  return randomBytes(NONCE_BYTES);
}

export function newMeshId(): Buffer {
  return randomBytes(MESH_ID_BYTES);
}

/** 256 random bits as 43 characters of base64url. */
export function newToken(): string {
  return randomBytes(32).toString('base64url');
}

/** Fields of another length would shift the ones after them into each other's place. */
function sized(name: string, bytes: Uint8Array, length: number): Uint8Array {
  if (bytes.byteLength !== length)
    throw new RangeError(`${name} has ${bytes.byteLength} bytes, not ${length}`);
  return bytes;
}
