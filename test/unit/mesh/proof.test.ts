import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  clientProof,
  dataProof,
  newMeshId,
  newNonce,
  newToken,
  proofMatches,
  serverProof,
} from '../../../src/mesh/proof.js';

const meshId = Buffer.alloc(16, 1);
const data = {
  token: 't',
  meshId,
  epoch: 1,
  from: 2,
  to: 3,
  fromNonce: Buffer.alloc(32, 4),
  toNonce: Buffer.alloc(32, 5),
};
const control = { token: 't', meshId, serverNonce: Buffer.alloc(32, 6), clientNonce: Buffer.alloc(32, 7) };

describe('proofs', () => {
  it('data: HMAC-SHA256 over the documented 111 bytes', () => {
    const input = Buffer.alloc(111);
    input.write('tensorweft data', 0, 'ascii');
    input.fill(1, 15, 31);
    input.writeBigUInt64LE(1n, 31);
    input.writeUInt32LE(2, 39);
    input.writeUInt32LE(3, 43);
    input.fill(4, 47, 79);
    input.fill(5, 79, 111);
    expect(dataProof(data)).toEqual(createHmac('sha256', 't').update(input).digest());
    expect(dataProof({ ...data, epoch: 1n })).toEqual(dataProof(data));
  });

  it('data: every field matters', () => {
    const changed = [
      data,
      { ...data, token: 'u' },
      { ...data, meshId: Buffer.alloc(16, 2) },
      { ...data, epoch: 2 },
      { ...data, from: 9 },
      { ...data, to: 9 },
      { ...data, from: data.to, to: data.from },
      { ...data, fromNonce: data.toNonce },
      { ...data, toNonce: data.fromNonce },
    ];
    expect(new Set(changed.map((input) => dataProof(input).toString('hex'))).size).toBe(changed.length);
  });

  it('control: the two directions differ', () => {
    expect(clientProof(control)).toHaveLength(32);
    expect(clientProof(control)).not.toEqual(serverProof(control));
  });

  it('refuses fields of the wrong length or range', () => {
    expect(() => dataProof({ ...data, meshId: Buffer.alloc(15) })).toThrow('meshId has 15 bytes, not 16');
    expect(() => dataProof({ ...data, toNonce: Buffer.alloc(33) })).toThrow('toNonce');
    expect(() => dataProof({ ...data, from: -1 })).toThrow(RangeError);
    expect(() => clientProof({ ...control, clientNonce: Buffer.alloc(0) })).toThrow('clientNonce');
  });

  it('compares whole proofs only', () => {
    const proof = dataProof(data);
    expect(proofMatches(proof, Uint8Array.from(proof))).toBe(true);
    expect(proofMatches(proof, Buffer.alloc(32))).toBe(false);
    expect(proofMatches(proof, proof.subarray(0, 31))).toBe(false);
    expect(proofMatches(proof, Buffer.concat([proof, Buffer.alloc(1)]))).toBe(false);
  });

  it('makes fresh secrets', () => {
    expect(newNonce()).toHaveLength(32);
    expect(newMeshId()).toHaveLength(16);
    expect(newToken()).toMatch(/^[\w-]{43}$/);
    expect(newToken()).not.toBe(newToken());
  });
});
