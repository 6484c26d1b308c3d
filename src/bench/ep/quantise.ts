import { native } from '../../native.js';
import { latencyOf, round } from '../statistics.js';
import type { EpShape } from './shape.js';

/** Medians of what one core does; bytes are those of the bf16 that goes in, and 1 GB is 1e9 of them. */
export interface QuantiseReport {
  gbPerS: number;
  /** memcpy of the same. */
  copyGbPerS: number;
  ratioToCopy: number;
  bytes: number;
  turns: number;
}

/** Beyond the caches of a core. */
const BYTES = 32 << 20;
const TURNS = 41;

export function measureQuantise({ hidden }: EpShape): QuantiseReport {
  const rows = Math.ceil(BYTES / (2 * hidden));
  const bytes = rows * hidden * 2;
  const [copyNs, quantiseNs] = [new Float64Array(TURNS), new Float64Array(TURNS)];
  native.bench.quantise(rows, hidden, copyNs, quantiseNs);
  const rate = (ns: Float64Array): number => bytes / (latencyOf([...ns]).p50 * 1000);
  const [copy, quantise] = [rate(copyNs), rate(quantiseNs)];
  return {
    gbPerS: round(quantise),
    copyGbPerS: round(copy),
    ratioToCopy: round(quantise / copy),
    bytes,
    turns: TURNS,
  };
}
