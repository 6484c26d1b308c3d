import type { ExchangeLayout } from '../../afd/layout.js';
import type { NativeEpWork } from '../../native.js';

export const ROUTINGS = ['uniform', 'zipf', 'hot'] as const;
export type Routing = (typeof ROUTINGS)[number];

/** The shape of an expert-parallel benchmark. */
export interface EpShape {
  ranks: number;
  /** Rows of each rank. */
  tokens: number;
  hidden: number;
  experts: number;
  topK: number;
  dtype: 'fp8' | 'bf16';
  /**
   * 'uniform'; 'zipf': expert e by 1 / (e + 1); 'hot': 32 experts (an eighth of few) get nine tenths of the choices.
   */
  routing: Routing;
}

const DEEPEP = {
  ranks: 2,
  hidden: 7168,
  experts: 256,
  topK: 8,
  dtype: 'fp8',
  routing: 'uniform',
} as const;

/** DeepEP's decode and prefill shapes. */
export const EP_PRESETS: Readonly<Record<string, EpShape>> = {
  'deepep-decode': { ...DEEPEP, tokens: 128 },
  'deepep-prefill': { ...DEEPEP, tokens: 4096 },
};

/** Batches of the sweep. */
export const SWEEP: readonly number[] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

const DEPTH = 2;

export function epLayout({ tokens, hidden, experts, topK, dtype }: EpShape): ExchangeLayout {
  return {
    hidden,
    maxTokens: tokens,
    depth: DEPTH,
    dispatch: { dtype: dtype === 'fp8' ? 'fp8e4m3' : 'bf16' },
    experts: { count: experts, topK },
    combine: 'weighted',
    metaBytes: 0,
  };
}

export function nativeEpWork({ dtype, routing, ...shape }: EpShape): NativeEpWork {
  return { ...shape, fp8: dtype === 'fp8', routing: ROUTINGS.indexOf(routing), depth: DEPTH };
}

/** Bytes of a row as DeepEP counts them for its GB/s: FP8 with scales and 16 bytes of header, or bf16. */
export function logicalRowBytes({ hidden, dtype }: EpShape): { dispatch: number; combine: number } {
  const fp8 = hidden + (4 * hidden) / 128 + 16;
  return { dispatch: dtype === 'fp8' ? fp8 : 2 * hidden, combine: 2 * hidden };
}
