import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAX_FRAME_BYTES, MAX_MEMBERS, maxEndpointBytes } from '../../../src/mesh/limits.js';
import { type Candidate, Membership } from '../../../src/mesh/membership.js';
import { memberOf, missingText, type Role, seatOf } from '../../../src/mesh/roster.js';
import { endpoint, failure } from './helpers.js';

const candidate = (role: Role, rank?: number, config = { hidden: 1 } as Candidate['config']): Candidate => ({
  role,
  rank,
  config,
  nonce: new Uint8Array(32),
  endpoint: endpoint(),
});
const mesh = (attention = 2, ffn = 1): Membership => new Membership({ attention, ffn }, new Uint8Array(16));

describe('membership', () => {
  it('gives the lowest free rank, or the one asked for', () => {
    const members = mesh(3, 2);
    expect(members.join(candidate('attention', 1))).toMatchObject({ member: 1, rank: 1 });
    expect(members.join(candidate('attention'))).toMatchObject({ member: 0, rank: 0 });
    expect(members.join(candidate('ffn', 1))).toMatchObject({ member: 4, rank: 1 });
    expect(members.missing()).toEqual({ attention: [2], ffn: [0] });
    expect(members.epoch).toBe(0);
    members.join(candidate('attention'));
    members.join(candidate('ffn'));
    expect(members.epoch).toBe(1);
    expect(members.roster().members.map((m) => m.member)).toEqual([0, 1, 2, 3, 4]);
  });

  it('refuses ranks that are taken, out of range or too many', async () => {
    const members = mesh(2, 1);
    members.join(candidate('attention', 1));
    const taken = await failure((async () => members.join(candidate('attention', 1)))(), 'WEFT_STATE');
    expect(taken.message).toBe('attention rank 1 is taken; free are: 0');
    for (const rank of [-1, 2, 0.5, Number.NaN]) {
      await failure((async () => members.join(candidate('attention', rank)))(), 'WEFT_INVALID_ARGUMENT');
    }
    members.join(candidate('attention'));
    const third = await failure((async () => members.join(candidate('attention')))(), 'WEFT_STATE');
    expect(third.message).toBe('all 2 attention ranks of this mesh are taken');
  });

  it('frees the rank before the mesh is complete, and never after', async () => {
    const members = mesh(1, 1);
    members.join(candidate('attention'));
    expect(members.depart(0, 'lost')).toEqual({
      member: 0,
      role: 'attention',
      rank: 0,
      reason: 'lost',
      epoch: 0,
    });
    expect(members.depart(0, 'lost')).toBeUndefined();
    members.join(candidate('attention'));
    members.join(candidate('ffn'));
    expect(members.depart(1, 'left')).toMatchObject({ role: 'ffn', epoch: 2 });
    await failure((async () => members.join(candidate('ffn')))(), 'WEFT_STATE');
    expect(members.depart(0, 'left')?.epoch).toBe(3);
    expect(members.epoch).toBe(3);
  });

  it("holds the first member's configuration until nobody is left", async () => {
    const members = mesh(2, 1);
    members.join(candidate('attention', 0, { hidden: 1, depth: 3 }));
    const given = { hidden: 2, extra: [1] };
    const error = await failure(
      (async () => members.join(candidate('ffn', 0, given)))(),
      'WEFT_CONFIG_MISMATCH',
    );
    expect(error.details?.fields).toEqual([
      { field: 'hidden', expected: 1, given: 2 },
      { field: 'depth', expected: 3 },
      { field: 'extra', given: [1] },
    ]);
    expect(error.message).toContain(
      'hidden (the mesh has 1, given 2), depth (the mesh has 3, given nothing)',
    );
    members.depart(0, 'lost');
    members.join(candidate('ffn', 0, given));
  });

  it('lists many differences in a bounded message', async () => {
    const members = mesh();
    const wide = (x: number): Candidate['config'] =>
      Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`field${i}`, `${x}`.repeat(500)]));
    members.join(candidate('attention', 0, wide(1)));
    const error = await failure(
      (async () => members.join(candidate('ffn', 0, wide(2))))(),
      'WEFT_CONFIG_MISMATCH',
    );
    expect(error.details?.fields).toHaveLength(32);
    expect(error.message).toContain('and 968 more');
    expect(error.message.length).toBeLessThan(4096);
  });

  it('keeps ids, ranks and missing ranks consistent', () => {
    const step = fc.record({
      role: fc.constantFrom('attention', 'ffn'),
      rank: fc.option(fc.nat(5)),
      gone: fc.nat(9),
    });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 5 }),
        fc.array(step),
        (m, n, steps) => {
          const members = mesh(m, n);
          for (const { role, rank, gone } of steps) {
            try {
              members.join(candidate(role as Role, rank ?? undefined));
            } catch {}
            if (members.epoch === 0) members.depart(gone, 'lost');
            const { attention, ffn } = members.missing();
            expect(attention.length + ffn.length + members.size).toBe(m + n);
            for (const entry of members.roster().members) {
              expect(entry.member).toBe(memberOf({ attention: m, ffn: n }, entry.role, entry.rank));
              expect(seatOf({ attention: m, ffn: n }, entry.member)).toEqual({
                role: entry.role,
                rank: entry.rank,
              });
            }
            expect(members.epoch).toBe(members.size === m + n ? 1 : 0);
          }
        },
      ),
    );
  });

  it('has room for the roster of a full mesh in one frame', () => {
    for (const members of [2, 60, 500, MAX_MEMBERS]) {
      // 128: the fields of a member around its endpoint.
      expect(members * (maxEndpointBytes(members) + 128)).toBeLessThan(MAX_FRAME_BYTES - 1024);
    }
    expect(maxEndpointBytes(MAX_MEMBERS)).toBeGreaterThanOrEqual(512);
  });

  it('writes missing ranks for people', () => {
    expect(missingText({ attention: [1], ffn: [0, 2] })).toBe('attention 1 and ffn 0, 2');
    expect(missingText({ attention: [], ffn: [] })).toBe('nobody');
    expect(missingText({ attention: Array.from({ length: 20 }, (_, i) => i), ffn: [] })).toMatch(
      /15 and 4 more$/,
    );
  });
});
