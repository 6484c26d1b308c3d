import { describe, expect, it } from 'vitest';
import { expertCount, modelConfig, selectionsPerToken } from '../../../examples/moe-engine/model/config.js';
import { Decoder } from '../../../examples/moe-engine/model/decoder.js';
import { readDecoder } from '../../../examples/moe-engine/model/weights.js';
import { placeExperts } from '../../../examples/moe-engine/placement.js';
import { generate } from '../../../examples/moe-engine/reference.js';
import type { Rounding } from '../../../examples/moe-engine/reference-moe.js';
import type { Generation } from '../../../examples/moe-engine/request.js';
import { firstDifference } from '../../../examples/moe-engine/verify.js';
import { SMALL, withWeights } from './model.js';

const PROMPTS = ['warp', 'a longer prompt about weft'].map((text, id) => ({ id, text, tokens: 12 }));
const PLAIN: Rounding = {
  dispatch: 'bf16',
  combine: 'weighted',
  mode: 'routed',
  placement: placeExperts(SMALL, 3),
};

function run(seed: number, rounding: Rounding = PLAIN): Generation[] {
  return withWeights(seed, (file) => generate(file, PROMPTS, rounding).generations);
}

describe('the engine in one process', () => {
  it('generates the same from the same seed, and something else from another', () => {
    const first = run(1);
    expect(firstDifference(first, run(1))).toBeUndefined();
    expect(firstDifference(first, run(2))).toMatch(/prompt 0, token/);
    expect(new Set(first[0]!.tokens).size).toBeGreaterThan(3);
  });

  it('rounds where it is told to', () => {
    const plain = run(1);
    const digests = (rounding: Partial<Rounding>): string[] =>
      run(1, { ...PLAIN, ...rounding }).map(({ digest }) => digest);
    const own = plain.map(({ digest }) => digest);
    expect(digests({ mode: 'all', placement: placeExperts(SMALL, 1) })).toEqual(own);
    expect(digests({ combine: 'sum', placement: placeExperts(SMALL, 1) })).toEqual(own);
    expect(digests({ combine: 'sum' })).not.toEqual(own);
    expect(digests({ combine: 'sum', mode: 'all' })).toEqual(digests({ combine: 'sum' }));
    expect(digests({ dispatch: 'fp8' })).not.toEqual(own);
  });

  it('refuses a prompt that the context has no room for', () => {
    const prompts = [{ id: 3, text: 'x'.repeat(120), tokens: 12 }];
    expect(() => withWeights(1, (file) => generate(file, prompts, PLAIN))).toThrow(
      /prompt 3 of 121 tokens .* 133, the model/,
    );
  });

  it('uses every routed expert', () => {
    const used = withWeights(1, (file) => {
      const decoder = new Decoder(SMALL, readDecoder(file, SMALL), 256);
      const h = new Float32Array(256 * SMALL.hidden);
      for (let token = 0; token < 256; token++) decoder.embed(h, token, token);
      const routing = {
        logits: new Float32Array(256 * SMALL.routedExperts),
        experts: new Int32Array(256 * selectionsPerToken(SMALL)),
        weights: new Float32Array(256 * selectionsPerToken(SMALL)),
      };
      decoder.route(h, 256, 0, new Uint16Array(256 * SMALL.hidden), routing);
      return new Set(routing.experts);
    });
    expect(used.size).toBe(expertCount(SMALL));
  });
});

describe('config', () => {
  it('lists what is wrong', () => {
    expect(() => modelConfig({ hiden: 3 })).toThrow(/hiden/);
    expect(() => modelConfig({ headDim: 3 })).toThrow(/headDim/);
    expect(() => modelConfig({ topK: 17 })).toThrow(/topK is larger/);
  });
});
