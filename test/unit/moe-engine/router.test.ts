import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { modelConfig } from '../../../examples/moe-engine/model/config.js';
import { topExperts } from '../../../examples/moe-engine/model/router.js';
import { expertsOf, placeExperts } from '../../../examples/moe-engine/placement.js';

function route(logits: number[], k: number): { experts: number[]; weights: number[] } {
  const experts = new Int32Array(k);
  const weights = new Float32Array(k);
  topExperts(Float32Array.from(logits), k, experts, weights, 0);
  return { experts: [...experts], weights: [...weights] };
}

describe('router', () => {
  it('takes the best first and the lower id of equals', () => {
    expect(route([1, 3, 2, 3], 3).experts).toEqual([1, 3, 2]);
    expect(route([0, 0, 0, 0], 2)).toEqual({ experts: [0, 1], weights: [0.5, 0.5] });
    expect(route([-0, 0, 0], 2).experts).toEqual([0, 1]);
  });

  it('renormalises the softmax over the chosen', () => {
    const { weights } = route([Math.log(3), 0, -50, Math.log(4)], 2);
    expect(weights[0]).toBeCloseTo(4 / 7, 6);
    expect(weights[1]).toBeCloseTo(3 / 7, 6);
  });

  it('agrees with sorting', () => {
    const anyLogits = fc.array(fc.integer({ min: -4, max: 4 }), { minLength: 4, maxLength: 20 });
    fc.assert(
      fc.property(anyLogits, fc.integer({ min: 1, max: 4 }), (logits, k) => {
        const { experts, weights } = route(logits, k);
        const sorted = logits.map((_, e) => e).sort((a, b) => logits[b]! - logits[a]! || a - b);
        expect(experts).toEqual(sorted.slice(0, k));
        expect(weights.reduce((sum, w) => sum + w, 0)).toBeCloseTo(1, 5);
      }),
    );
  });

  it('has no answer for NaN', () => {
    expect(() => route([1, Number.NaN], 1)).toThrow(/expert 1 is NaN/);
  });
});

describe('placement', () => {
  it('is even by expected work: the shared expert weighs as much as four routed ones', () => {
    expect(placeExperts(modelConfig(), 2)).toEqual([...Array(10).fill(0), ...Array(7).fill(1)]);
    expect(expertsOf(placeExperts(modelConfig(), 4), 3)).toEqual([15, 16]);
  });

  it('gives every expert to one rank', () => {
    for (let ranks = 1; ranks <= 20; ranks++) {
      const placement = placeExperts(modelConfig(), ranks);
      const owned = Array.from({ length: ranks }, (_, rank) => expertsOf(placement, rank)).flat();
      expect(owned).toEqual([...placement.keys()]);
    }
  });
});
