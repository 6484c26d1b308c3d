/** From the reports of the ranks to the numbers that are shown. */
import { createHistogram } from 'node:perf_hooks';
import type { SplitRun } from './cluster.js';

/** Microseconds. */
export interface Percentiles {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
}

export interface Measures {
  readonly tokens: number;
  readonly seconds: number;
  readonly tokensPerSecond: number;
  /** Dispatch to combined result; the experts' arithmetic and what was overlapped are in it. */
  readonly roundTrip: Percentiles;
  /** Time that an attention rank spent in write and dispatch(), and waiting in combine(). */
  readonly exposed: Percentiles;
  /** The experts' arithmetic of one round on one FFN rank. */
  readonly ffnCompute: Percentiles;
  readonly rounds: number;
  readonly emptyRounds: number;
  readonly rows: number;
  /** Of any one attention rank. */
  readonly mostInFlight: number;
}

export function measure(run: SplitRun): Measures {
  const tokens = run.generations.reduce((sum, { tokens }) => sum + tokens.length, 0);
  const total = (pick: (report: SplitRun['attention'][number]) => number): number =>
    run.attention.reduce((sum, report) => sum + pick(report), 0);
  return {
    tokens,
    seconds: run.seconds,
    tokensPerSecond: tokens / run.seconds,
    roundTrip: percentiles(run.attention.map((report) => report.roundTrip)),
    exposed: percentiles(run.attention.map((report) => report.exposed)),
    ffnCompute: percentiles(run.ffn.map((report) => report.compute)),
    rounds: total((report) => report.rounds),
    emptyRounds: total((report) => report.emptyRounds),
    rows: total((report) => report.rows),
    mostInFlight: Math.max(...run.attention.map((report) => report.mostInFlight)),
  };
}

function percentiles(samples: readonly Float64Array[]): Percentiles {
  const histogram = createHistogram(); // of nanoseconds
  for (const list of samples) for (const us of list) histogram.record(Math.max(1, Math.round(us * 1000)));
  const at = (p: number): number => (histogram.count === 0 ? 0 : histogram.percentile(p) / 1000);
  return { count: histogram.count, p50: at(50), p99: at(99) };
}
