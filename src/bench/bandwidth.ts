import type { TransportName } from '../mesh/transport-names.js';
import { Crew } from './crew.js';
import { type Environment, environment } from './environment.js';
import { round } from './statistics.js';
import type { Shape } from './workload.js';

/** What `weft bench bw --json` prints. GB are 1e9 bytes. */
export interface BandwidthReport {
  workload: 'bw';
  transport: TransportName;
  bytes: number;
  depth: number;
  turns: number;
  rounds: number;
  /** Pages whose stamp was not what it should be. */
  wrong: number;
  /** Of the turns; each is all of its bytes by all of its time. */
  gbPerS: { min: number; p50: number; max: number; turns: number[] };
  environment: Environment;
}

export async function measureBandwidth(
  shape: Shape,
  transport: TransportName,
  turns: number,
  rounds: number,
): Promise<BandwidthReport> {
  await using crew = await Crew.start(shape, transport, {});
  const bytes = shape.tokens * shape.hidden;
  let wrong = (await crew.run('one-way', Math.min(rounds, 2 * shape.depth))).wrong;
  const measured: number[] = [];
  for (let turn = 0; turn < turns; turn++) {
    const run = await crew.run('one-way', rounds);
    wrong += run.wrong;
    measured.push(round((bytes * rounds) / run.samples.reduce((sum, ns) => sum + ns, 0)));
  }
  const sorted = measured.toSorted((a, b) => a - b);
  return {
    workload: 'bw',
    transport,
    bytes,
    depth: shape.depth,
    turns,
    rounds,
    wrong,
    gbPerS: {
      min: sorted[0]!,
      p50: sorted[Math.floor((turns - 1) / 2)]!,
      max: sorted.at(-1)!,
      turns: measured,
    },
    environment: environment(crew.pinned),
  };
}
