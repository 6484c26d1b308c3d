import fc from 'fast-check';
import { balanceOf, eplbPlacement, linearPlacement, type Placement, roundRobinPlacement } from 'tensorweft';
import { describe, expect, it } from 'vitest';
import { refuses } from '../../support/wrong.js';

const sizes = fc.record({
  experts: fc.integer({ min: 1, max: 300 }),
  ranks: fc.integer({ min: 1, max: 40 }),
});

describe('linear and round-robin placement', () => {
  it('divide what cannot be divided evenly', () => {
    const linear = [
      [0, 1, 2],
      [3, 4],
      [5, 6, 7],
      [8, 9],
    ];
    const turns = [
      [0, 4, 8],
      [1, 5, 9],
      [2, 6],
      [3, 7],
    ];
    expect(linearPlacement(10, 4).slots).toEqual(linear);
    expect(roundRobinPlacement(10, 4).slots).toEqual(turns);
    expect(linearPlacement(2, 3).slots).toEqual([[0], [1], []]);
  });

  it('have every expert once, and ranks that differ by one at most', () => {
    for (const make of [linearPlacement, roundRobinPlacement])
      fc.assert(
        fc.property(sizes, ({ experts, ranks }) => {
          const { slots } = make(experts, ranks);
          expect(slots.flat().sort((a, b) => a - b)).toEqual(Array.from({ length: experts }, (_, e) => e));
          const lengths = slots.map((of) => of.length);
          expect(slots).toHaveLength(ranks);
          expect(Math.max(...lengths) - Math.min(...lengths)).toBeLessThanOrEqual(1);
        }),
      );
  });

  it('refuse sizes that are none', async () => {
    await refuses('experts', () => linearPlacement(0, 2));
    await refuses('ranks', () => roundRobinPlacement(4, 1.5));
  });
});

describe('eplbPlacement', () => {
  it('gives every rank as many slots, every expert one or more, and groups their node', () => {
    const shapes = fc.record({
      nodes: fc.integer({ min: 1, max: 4 }),
      perNode: fc.integer({ min: 1, max: 4 }),
      groupsPerNode: fc.integer({ min: 1, max: 3 }),
      size: fc.integer({ min: 1, max: 5 }),
      more: fc.integer({ min: 0, max: 3 }),
      seed: fc.array(fc.integer({ min: 0, max: 1000 }), { minLength: 180, maxLength: 180 }),
    });
    fc.assert(
      fc.property(shapes, ({ nodes, perNode, groupsPerNode, size, more, seed }) => {
        const groups = nodes * groupsPerNode;
        const loads = seed.slice(0, groups * size);
        const ranks = nodes * perNode;
        const each = Math.ceil(loads.length / ranks) + more;
        const { slots } = eplbPlacement(loads, { ranks, nodes, groups, replicas: each * ranks });
        expect(slots.every((of) => of.length === each)).toBe(true);
        expect(new Set(slots.flat()).size).toBe(loads.length);
        for (let group = 0; group < groups; group++) {
          const at = slots.flatMap((of, rank) =>
            of.some((expert) => Math.floor(expert / size) === group) ? [Math.floor(rank / perNode)] : [],
          );
          expect(new Set(at).size).toBe(1);
        }
      }),
    );
  });

  it('takes as many slots as it needs when told nothing', () => {
    const { slots } = eplbPlacement([5, 1, 1, 1, 1], { ranks: 3 });
    expect(slots.map((of) => of.length)).toEqual([2, 2, 2]);
    expect(slots.flat().filter((expert) => expert === 0)).toHaveLength(2);
  });

  it('says what is wrong', async () => {
    await refuses('loads', () => eplbPlacement([], { ranks: 2 }));
    await refuses('loads[1]', () => eplbPlacement([1, Number.NaN], { ranks: 2 }));
    await refuses('loads[1]', () => eplbPlacement([1, -1], { ranks: 2 }));
    await refuses('replicas', () => eplbPlacement([1, 2, 3], { ranks: 2, replicas: 2 }));
    await refuses('replicas', () => eplbPlacement([1, 2, 3], { ranks: 2, replicas: 5 }));
    await refuses('the number of experts', () => eplbPlacement([1, 2, 3], { ranks: 3, nodes: 2, groups: 2 }));
    await refuses('ranks', () => eplbPlacement([1, 2, 3, 4], { ranks: 3, nodes: 2, groups: 2 }));
  });
});

describe('balanceOf', () => {
  const placement: Placement = {
    experts: 3,
    slots: [
      [0, 1],
      [0, 2],
    ],
  };

  it('shares the load of an expert evenly among its replicas', () => {
    const { rankLoads, nodeLoads, rankMaxOverMean, nodeMaxOverMean } = balanceOf(placement, [6, 1, 3], 2);
    expect(rankLoads).toEqual([4, 6]);
    expect(nodeLoads).toEqual([4, 6]);
    expect(rankMaxOverMean).toBe(1.2);
    expect(nodeMaxOverMean).toBe(1.2);
    expect(balanceOf(placement, [0, 0, 0]).rankMaxOverMean).toBe(1);
  });

  it('refuses loads and placements that do not fit', async () => {
    await refuses('loads', () => balanceOf(placement, [1, 2]));
    await refuses('the number of ranks', () => balanceOf(placement, [1, 2, 3], 3));
    await refuses('placement.slots', () => balanceOf({ experts: 3, slots: [[0, 1]] }, [1, 2, 3]));
    await refuses('placement.slots[0][1]', () => balanceOf({ experts: 2, slots: [[0, 2]] }, [1, 2]));
  });
});
