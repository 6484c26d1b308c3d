/** What one run is asked for. main.ts fills it from the command line, matrix.ts varies it. */

export const TRANSPORTS = ['shm', 'tcp', 'verbs', 'ucx'] as const;
/** Those that every machine has. */
export const MATRIX_TRANSPORTS = ['shm', 'tcp'] as const;
export const DISPATCHES = ['bf16', 'fp8'] as const;
export const MODES = ['routed', 'all'] as const;
export const COMBINES = ['weighted', 'sum'] as const;

/** The split and how it talks. */
export interface Split {
  /** Attention processes. */
  readonly attention: number;
  /** FFN processes. */
  readonly ffn: number;
  readonly transport: (typeof TRANSPORTS)[number];
  readonly dispatch: (typeof DISPATCHES)[number];
  readonly mode: (typeof MODES)[number];
  readonly combine: (typeof COMBINES)[number];
  /** Rounds an attention rank keeps in flight, at least 2. */
  readonly microBatches: number;
  /** Rows of one round at most: what a prompt is cut into, and the bound on requests running in a micro-batch. */
  readonly maxTokens: number;
  /** How long any one wait may take. */
  readonly deadlineMs: number;
}

/** The splits that `--matrix` runs: even, uneven either way, and one rank facing many. */
export const MATRIX_SHAPES: readonly (readonly [attention: number, ffn: number])[] = [
  [1, 1],
  [2, 2],
  [3, 2],
  [2, 3],
  [1, 4],
];

/** `2x3 tcp fp8 routed weighted`: how a run is named in results and errors. */
export function splitName(split: Split): string {
  const { attention, ffn, transport, dispatch, mode, combine } = split;
  return `${attention}x${ffn} ${transport} ${dispatch} ${mode} ${combine}`;
}
