import { describe, expect, it } from 'vitest';
import { deepep } from '../../../../src/index.js';
import { tokensOf, useRanks } from './ranks.js';

const { open } = useRanks();

describe('getLowLatencyRdmaSizeHint', () => {
  it.each([
    [128, 7168, 256, 1_908_410_496],
    [128, 7168, 288, 2_146_961_792],
    [256, 7168, 256, 3_816_818_816],
    [512, 7168, 256, 7_633_635_456],
    [128, 4096, 128, 545_260_672],
    [128, 2048, 128, 272_630_912],
    [128, 3584, 896, 3_339_721_856],
  ])('%i tokens, hidden %i, %i experts', (tokens, hidden, experts, bytes) => {
    for (const ranks of [1, 8, 64])
      expect(deepep.Buffer.getLowLatencyRdmaSizeHint(tokens, hidden, ranks, experts)).toBe(bytes);
  });
});

describe('getDispatchLayout', () => {
  it.each([1, 2, 4])('counts what a loop over all pairs counts, %i ranks', async (ranks) => {
    const [buffer] = await open(ranks);
    const experts = 8;
    const { topkIdx } = tokensOf(3, 0, { tokens: 21, hidden: 1, experts, topK: 4 });
    const layout = buffer!.getDispatchLayout(topkIdx, experts);
    expect(layout.numTokensPerRdmaRank).toBeNull();
    expect(layout.isTokenInRank.shape).toEqual([21, ranks]);
    const choices = (token: number): number[] =>
      Array.from(topkIdx.data.subarray(token * 4, token * 4 + 4), Number);
    const tokens = Array.from({ length: 21 }, (_, t) => t);
    for (let e = 0; e < experts; e++)
      expect(layout.numTokensPerExpert[e]).toBe(tokens.filter((t) => choices(t).includes(e)).length);
    for (let r = 0; r < ranks; r++) {
      const goes = (t: number): boolean =>
        choices(t).some((e) => e >= 0 && Math.floor(e / (experts / ranks)) === r);
      expect(layout.numTokensPerRank[r]).toBe(tokens.filter(goes).length);
      for (const t of tokens) expect(layout.isTokenInRank.data[t * ranks + r]).toBe(goes(t) ? 1 : 0);
    }
    await layout.event.currentStreamWait();
  });

  it('-1 selects nothing, and ids out of range are named', async () => {
    const [buffer] = await open(2);
    const none = { data: new Int32Array(6).fill(-1), shape: [2, 3] };
    expect(Array.from(buffer!.getDispatchLayout(none, 4).numTokensPerRank)).toEqual([0, 0]);
    const bad = { data: BigInt64Array.from([0n, 1n, 2n, 3n, 4n, 0n]), shape: [2, 3] };
    expect(() => buffer!.getDispatchLayout(bad, 4)).toThrow('topkIdx[1, 1] must be');
    expect(() => buffer!.getDispatchLayout(none, 5)).toThrow('a multiple of the ranks (2)');
  });
});
