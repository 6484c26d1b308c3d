import type { ExchangeLayout } from '../afd/layout.js';
import type { DType } from '../tensor/dtype.js';

/**
 * What the ranks of a mesh do in a run, as plain data, so that it can be handed to another process. All contents follow
 * from it: every rank can tell what every other one must have sent.
 */
export interface Scenario {
  attention: number;
  ffn: number;
  layout: ExchangeLayout;
  /** Rounds of each attention rank. */
  rounds: number;
  /** Makes the contents of two runs differ. Default 0. */
  seed?: number;
}

/** A layout's defaults, as far as the contents depend on them. */
export interface Facts {
  hidden: number;
  maxTokens: number;
  depth: number;
  dtype: DType;
  powerOfTwo: boolean;
  routed: boolean;
  combine: 'sum' | 'weighted' | 'none';
  experts: number;
  topK: number;
  placement: number[];
  columns: { name: string; dtype: DType; width: number }[];
  metaBytes: number;
  seed: number;
}

export function factsOf({ layout, ffn, seed = 0 }: Scenario): Facts {
  const { dispatch, experts } = layout;
  const count = experts?.count ?? 0;
  return {
    hidden: layout.hidden,
    maxTokens: layout.maxTokens,
    depth: layout.depth ?? 3,
    dtype: dispatch?.dtype ?? 'bf16',
    powerOfTwo: dispatch?.powerOfTwoScales ?? false,
    routed: dispatch?.mode === 'routed',
    combine: layout.combine ?? 'sum',
    experts: count,
    topK: experts?.topK ?? 0,
    placement: [
      ...((experts?.placement as readonly number[] | undefined) ??
        Array.from({ length: count }, (_, e) => Math.floor((e * ffn) / count))),
    ],
    columns: [...(layout.columns ?? [])],
    metaBytes: layout.metaBytes ?? 256,
    seed,
  };
}

/** 32 bits that look random and depend on every argument. */
export function noise(seed: number, a: number, b: number, c: number, d: number): number {
  let h = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 15) ^ a, 0x27d4eb2f);
  h = Math.imul(h ^ (h >>> 13) ^ b, 0x165667b1);
  h = Math.imul(h ^ (h >>> 16) ^ c, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 14) ^ d, 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** What the round of one attention rank is about. */
export interface RoundPlace {
  rank: number;
  generation: number;
}

/** Rows of a round: none in the first one, all that fit in the second, any number in the others. */
export function tokensOf(facts: Facts, { rank, generation }: RoundPlace): number {
  if (generation <= 2) return generation === 1 ? 0 : facts.maxTokens;
  return noise(facts.seed, 1, rank, generation, 0) % (facts.maxTokens + 1);
}

export function tagOf(facts: Facts, { rank, generation }: RoundPlace): number {
  return noise(facts.seed, 2, rank, generation, 0);
}

export function metaOf(facts: Facts, { rank, generation }: RoundPlace): Uint8Array {
  const bytes = generation % 4 === 0 ? facts.metaBytes : (generation * 7 + rank) % (facts.metaBytes + 1);
  return Uint8Array.from({ length: bytes }, (_, i) => noise(facts.seed, 3, rank, generation, i));
}

/** What one row is about. */
export interface RowPlace extends RoundPlace {
  token: number;
}

/** Expert ids of a row's selections; some are -1, some rows have nothing else, none twice in a row. */
export function expertsOf(facts: Facts, { rank, generation, token }: RowPlace): number[] {
  const { topK, experts, seed } = facts;
  const first = noise(seed, 4, rank, generation, token);
  const empty = first % 11 === 0;
  return Array.from({ length: topK }, (_, k) => {
    const skip = empty || noise(seed, 5 + k, rank, generation, token) % 7 === 0;
    return skip ? -1 : (first + k * (1 + (first % 3) * (experts > 3 * topK ? 1 : 0))) % experts;
  });
}

export function weightOf(facts: Facts, { rank, generation, token }: RowPlace, k: number): number {
  return Math.fround((noise(facts.seed, 50 + k, rank, generation, token) / 2 ** 32 - 0.25) * 2);
}
