/** What the parent tells a rank (argv, as JSON; the mesh token through the environment) and what it hears back (IPC). */
import type { Split } from './options.js';
import type { Generation, Prompt } from './request.js';

/** Environment variable with the mesh token: secrets do not go on a command line, which any user may list. */
export const TOKEN_VARIABLE = 'MOE_ENGINE_TOKEN';

export interface RankJob {
  /** URL of the coordinator. */
  readonly coordinator: string;
  /** Path of the safetensors file; a rank reads only its own part. */
  readonly weights: string;
  /** Within its role. */
  readonly rank: number;
  readonly split: Split;
  /** Prompts of a rank that attends; none for one that holds experts only. */
  readonly prompts: readonly Prompt[];
}

/** Times are in microseconds. */
export interface AttentionReport {
  readonly generations: Generation[];
  /** Unix time in milliseconds of the first and after the last step. */
  readonly startedAt: number;
  readonly endedAt: number;
  /**
   * From writing the payload and dispatch() to the combined result, with whatever was overlapped in between. One per round with rows, without those
   * of each micro-batch's first step, which warms up.
   */
  readonly roundTrip: Float64Array;
  /** Of the same rounds: spent in the write and dispatch(), and waiting in combine(), that is, what overlap did not hide. */
  readonly exposed: Float64Array;
  readonly rounds: number;
  /** Rounds of a micro-batch that had nothing to do. */
  readonly emptyRounds: number;
  readonly rows: number;
  /** Rounds with rows that were under way at the same time, at most. */
  readonly mostInFlight: number;
}

export interface FfnReport {
  readonly experts: number[];
  readonly rounds: number;
  readonly rows: number;
  readonly selections: number;
  /** Requests seen, from the rounds' metadata. */
  readonly requests: number[];
  /** One per round with rows after the first few, which warm up: the experts' arithmetic. Microseconds. */
  readonly compute: Float64Array;
}

/** A rank of an expert-parallel mesh reports both, others what they are. */
export interface RankReport {
  readonly attention?: AttentionReport;
  readonly ffn?: FfnReport;
}

export type RankMessage<Report> =
  | { readonly kind: 'note'; readonly text: string }
  | { readonly kind: 'report'; readonly report: Report }
  | { readonly kind: 'failure'; readonly code: string | undefined; readonly text: string };
