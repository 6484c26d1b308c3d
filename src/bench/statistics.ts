/** Microseconds. */
export interface Latency {
  min: number;
  p50: number;
  p90: number;
  p99: number;
  p999: number;
  max: number;
}

/** Exact percentiles (nearest rank) of samples in nanoseconds; with `scale`, of each sample times that. */
export function latencyOf(samplesNs: readonly number[], scale = 1): Latency {
  const sorted = Float64Array.from(samplesNs).sort();
  const at = (q: number): number => {
    const rank = Math.min(sorted.length - 1, Math.max(0, Math.ceil(q * sorted.length) - 1));
    return round((sorted[rank]! * scale) / 1000);
  };
  return { min: at(0), p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: at(1) };
}

/** The slowest rank of each round: element-wise maximum. */
export function slowest(ranks: readonly Float64Array[]): number[] {
  return Array.from(ranks[0]!, (_, i) => Math.max(...ranks.map((samples) => samples[i]!)));
}

/** Three decimals: a nanosecond in microseconds. */
export function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
