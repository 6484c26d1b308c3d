/** What one run is asked for. main.ts fills it from the command line, matrix.ts varies it. */

export const TRANSPORTS = ['shm', 'tcp', 'verbs', 'ucx'] as const;
/** Those that every machine has. */
export const MATRIX_TRANSPORTS = ['shm', 'tcp'] as const;
export const DISPATCHES = ['bf16', 'fp8'] as const;
export const MODES = ['routed', 'all'] as const;
export const COMBINES = ['weighted', 'sum'] as const;

/** The split and how it talks. */
export interface Split {
  /** Attention ranks. */
  readonly attention: number;
  /** FFN ranks. */
  readonly ffn: number;
  /** Expert-parallel: every process is both an attention rank and an FFN rank, so there are as many of each. */
  readonly ep: boolean;
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

/** Which processes there are, and the mode where that leaves no choice. */
export type Shape = Pick<Split, 'attention' | 'ffn' | 'ep'> & Partial<Pick<Split, 'mode'>>;

/** Expert-parallel meshes know no other mode than 'routed'. */
export function expertParallel(ranks: number): Shape {
  return { attention: ranks, ffn: ranks, ep: true, mode: 'routed' };
}

function disaggregated(attention: number, ffn: number): Shape {
  return { attention, ffn, ep: false };
}

/** What `--matrix` runs: even, uneven either way, one rank facing many; and expert-parallel, a lone rank included. */
export const MATRIX_SHAPES: readonly Shape[] = [
  disaggregated(1, 1),
  disaggregated(2, 2),
  disaggregated(3, 2),
  disaggregated(2, 3),
  disaggregated(1, 4),
  ...[2, 4].map(expertParallel),
];

/** `2 x 3`, or `ep 3`. */
export function shapeName({ attention, ffn, ep }: Shape): string {
  return ep ? `ep ${ffn}` : `${attention} x ${ffn}`;
}

/** `2x3 tcp fp8 routed weighted`, or `ep3 tcp fp8 weighted`: how a run is named in results and errors. */
export function splitName(split: Split): string {
  const { ep, transport, dispatch, mode, combine } = split;
  const shape = shapeName(split).replaceAll(' ', '');
  return [shape, transport, dispatch, ...(ep ? [] : [mode]), combine].join(' ');
}
