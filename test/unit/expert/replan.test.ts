import fc from 'fast-check';
import { balanceOf, eplbPlacement, linearPlacement, type Placement, replan } from 'tensorweft';
import { describe, expect, it } from 'vitest';
import { refuses } from '../../support/wrong.js';

/** How many of `after` were not on their rank before. */
function moved(before: Placement, after: Placement): number {
  return after.slots.reduce((sum, slots, rank) => {
    const stays = [...before.slots[rank]!];
    return (
      sum +
      slots.filter((expert) => {
        const at = stays.indexOf(expert);
        if (at >= 0) stays.splice(at, 1);
        return at < 0;
      }).length
    );
  }, 0);
}

/** The fewest migrations that reach the target, of all placements there are. */
function fewest(before: Placement, loads: number[], target: number): number {
  const { experts, slots } = before;
  const shape = slots.map((of) => of.length);
  const total = shape.reduce((a, b) => a + b, 0);
  let best = Number.POSITIVE_INFINITY;
  for (let code = 0; code < experts ** total; code++) {
    let rest = code;
    const after = shape.map((length) =>
      Array.from({ length }, () => {
        const expert = rest % experts;
        rest = Math.floor(rest / experts);
        return expert;
      }),
    );
    if (new Set(after.flat()).size < experts) continue;
    const cost = moved(before, { experts, slots: after });
    if (cost < best && balanceOf({ experts, slots: after }, loads).rankMaxOverMean <= target) best = cost;
  }
  return best;
}

const RUNS = 80;

describe('replan', () => {
  it('moves nothing when the target is met', () => {
    const current = linearPlacement(4, 2);
    const { placement, migrations, reached } = replan(current, [1, 1, 1, 1]);
    expect({ slots: placement.slots, migrations, reached }).toEqual({
      slots: current.slots,
      migrations: [],
      reached: true,
    });
  });

  it('exchanges two experts, each of which stays in the slot of the other', () => {
    const { placement, migrations, rankMaxOverMean } = replan(linearPlacement(4, 2), [5, 4, 1, 2]);
    expect(rankMaxOverMean).toBeLessThanOrEqual(1.1);
    expect(migrations).toHaveLength(2);
    for (const { expert, rank, slot, replaces } of migrations) {
      expect(placement.slots[rank]![slot]).toBe(expert);
      expect(linearPlacement(4, 2).slots[rank]![slot]).toBe(replaces);
    }
  });

  it('reaches nearly always what can be reached, and nearly always with the fewest migrations', () => {
    let more = 0;
    let missed = 0;
    const cases = fc.record({
      old: fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 4, maxLength: 4 }),
      loads: fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 4, maxLength: 4 }),
      target: fc.double({ min: 1.02, max: 1.5, noNaN: true }),
    });
    fc.assert(
      fc.property(cases, ({ old, loads, target }) => {
        const current = eplbPlacement(old, { ranks: 3, replicas: 6 });
        const found = replan(current, loads, { target });
        const best = fewest(current, loads, target);
        if (!found.reached) {
          missed += best === Number.POSITIVE_INFINITY ? 0 : 1;
          return;
        }
        expect(found.migrations.length).toBeGreaterThanOrEqual(best);
        expect(found.migrations.length).toBeLessThanOrEqual(best + 2);
        more += found.migrations.length - best;
      }),
      { numRuns: RUNS },
    );
    expect(more).toBeLessThan(RUNS / 5);
    expect(missed).toBeLessThan(RUNS / 10);
  });

  it('keeps every expert, the slots of each rank, nodes and limits, and says what it did', () => {
    const cases = fc.record({
      old: fc.array(fc.integer({ min: 0, max: 1000 }), { minLength: 24, maxLength: 24 }),
      loads: fc.array(fc.integer({ min: 0, max: 1000 }), { minLength: 24, maxLength: 24 }),
      nodes: fc.constantFrom(1, 2),
      maxMigrations: fc.constantFrom(0, 1, 5, 100),
    });
    fc.assert(
      fc.property(cases, ({ old, loads, nodes, maxMigrations }) => {
        const current = eplbPlacement(old, { ranks: 4, replicas: 32, nodes, groups: nodes });
        const { placement, migrations, rankMaxOverMean, reached } = replan(current, loads, {
          nodes,
          maxMigrations,
          target: 1.05,
        });
        expect(new Set(placement.slots.flat()).size).toBe(24);
        expect(placement.slots.map((of) => of.length)).toEqual([8, 8, 8, 8]);
        expect(migrations.length).toBeLessThanOrEqual(maxMigrations);
        expect(moved(current, placement)).toBe(migrations.length);
        expect(rankMaxOverMean).toBeCloseTo(balanceOf(placement, loads).rankMaxOverMean, 9);
        expect(rankMaxOverMean).toBeLessThanOrEqual(balanceOf(current, loads).rankMaxOverMean + 1e-9);
        expect(reached).toBe(rankMaxOverMean <= 1.05);
        const nodeOf = (of: Placement, node: number): Set<number> =>
          new Set(of.slots.slice((node * 4) / nodes, ((node + 1) * 4) / nodes).flat());
        for (let node = 0; node < nodes; node++)
          expect(nodeOf(placement, node)).toEqual(nodeOf(current, node));
      }),
      { numRuns: 40 },
    );
  });

  it('leaves a replica on every node that has one', () => {
    const slots = [
      [0, 1],
      [0, 2],
      [0, 3],
      [1, 2],
    ];
    const { placement } = replan({ experts: 4, slots }, [1, 40, 9, 8], { nodes: 2, target: 1 });
    expect(new Set(placement.slots.slice(0, 2).flat())).toEqual(new Set([0, 1, 2]));
    expect(new Set(placement.slots.slice(2).flat())).toEqual(new Set([0, 1, 2, 3]));
  });

  it('says what is wrong', async () => {
    const current = linearPlacement(4, 2);
    await refuses('loads', () => replan(current, [1, 2, 3]));
    await refuses('target', () => replan(current, [1, 2, 3, 4], { target: 0.9 }));
    await refuses('maxMigrations', () => replan(current, [1, 2, 3, 4], { maxMigrations: -1 }));
    await refuses('the number of ranks', () => replan(current, [1, 2, 3, 4], { nodes: 3 }));
    await refuses('current.slots', () => replan({ experts: 4, slots: [[0], [1, 2]] }, [1, 2, 3, 4]));
  });
});
