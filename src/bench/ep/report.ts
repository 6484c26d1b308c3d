import type { TransportName } from '../../mesh/transport-names.js';
import type { WaitPolicy } from '../../mesh/wait-policy.js';
import { type Environment, environment } from '../environment.js';
import { type Latency, latencyOf, round } from '../statistics.js';
import type { EpCrew, EpMeasured } from './crew.js';
import type { EpContender } from './protocol.js';
import type { QuantiseReport } from './quantise.js';
import { type EpShape, logicalRowBytes } from './shape.js';

export interface EpPhase {
  /** The library, from C++: the slowest rank of each round. */
  latencyUs: Latency;
  floorUs: Latency;
  /** Of medians. */
  ratioToFloor: number;
  /** By DeepEP's formula: bytes of all selections of a rank by the median; 1 GB is 1e9 bytes. Not for round trips. */
  logicalGbPerS?: number;
}

/** What `weft bench ep --json` prints. */
export interface EpReport extends EpShape {
  workload: 'ep';
  preset: string;
  transport: TransportName;
  wait: string;
  iterations: number;
  /** Bytes found wrong, of all contenders; every round was verified. */
  wrong: number;
  /**
   * 'memory': shared memory without a library, with memcpy or with copies past the caches, whichever is faster; 'sockets':
   * plain TCP sockets.
   */
  floor: 'memory' | 'sockets';
  dispatch: EpPhase;
  combine: EpPhase;
  /** Dispatch and combine of the same rank and round, added. */
  roundTrip: EpPhase;
  /** Dispatch that leaves rows where they are and gives an index list, beside the floor, which copies them. */
  index: EpPhase;
  /** Dispatch of the floor in memory with memcpy. */
  copyingFloorUs: Latency;
  /** Over tcp only: the floor in shared memory. */
  memoryFloorUs?: { dispatch: Latency; combine: Latency };
  /**
   * Of a rank and round: bytes that other ranks need, each row once for a rank. Over transports that send, `sent` is what
   * was counted, with headers and both phases together.
   */
  wireBytes: { dispatch: number; combine: number; sent?: number };
  /** Touched by a rank: its slots, and its copies of what peers sent. */
  memoryBytes: number;
  /** Rows of FP8 only: how fast one core makes them. */
  quantise?: QuantiseReport;
  environment: Environment;
}

export function epReport(
  preset: string,
  transport: TransportName,
  wait: WaitPolicy,
  crew: EpCrew,
  turns: Map<EpContender, EpMeasured[]>,
  quantise?: QuantiseReport,
): EpReport {
  const { shape } = crew;
  const floor = transport === 'tcp' ? 'sockets' : 'memory';
  const of = (name: EpContender, phase: Phase): Latency =>
    latencyOf(turns.get(name)!.flatMap((turn) => turn[phase]));
  // There are two in memory, and each is the faster one for some sizes.
  const inMemory = (phase: Phase): Latency => {
    const [copied, streamed] = [of('memory', phase), of('streamed', phase)];
    return copied.p50 <= streamed.p50 ? copied : streamed;
  };
  const floorOf = (phase: Phase): Latency => (floor === 'memory' ? inMemory(phase) : of('sockets', phase));
  const bytes = logicalRowBytes(shape);
  const phase = (name: EpContender, which: Phase, rowBytes?: number): EpPhase => {
    const [latencyUs, floorUs] = [of(name, which), floorOf(which)];
    return {
      latencyUs,
      floorUs,
      ratioToFloor: round(latencyUs.p50 / floorUs.p50),
      ...(rowBytes !== undefined && {
        logicalGbPerS: round((rowBytes * shape.tokens * shape.topK) / latencyUs.p50 / 1000),
      }),
    };
  };
  const own = turns.get('native')!;
  const rounds = own.reduce((sum, { dispatch }) => sum + dispatch.length, 0);
  const mean = (of: (turn: EpMeasured) => number): number =>
    Math.round(own.reduce((sum, turn) => sum + of(turn), 0) / (rounds * shape.ranks));
  const row = bytesOnTheWire(shape);
  const sent = mean(({ sentBytes }) => sentBytes);
  return {
    workload: 'ep',
    preset,
    transport,
    ...shape,
    wait: wait.mode ?? 'adaptive',
    iterations: rounds,
    wrong: [...turns.values()].flat().reduce((sum, { wrong }) => sum + wrong, 0),
    floor,
    dispatch: phase('native', 'dispatch', bytes.dispatch),
    combine: phase('native', 'combine', bytes.combine),
    roundTrip: phase('native', 'roundTrip'),
    index: phase('index', 'dispatch', bytes.dispatch),
    copyingFloorUs: of('memory', 'dispatch'),
    ...(floor === 'sockets' && {
      memoryFloorUs: { dispatch: inMemory('dispatch'), combine: inMemory('combine') },
    }),
    wireBytes: {
      dispatch: mean(({ rowsAway }) => rowsAway * row.dispatch),
      combine: mean(({ choicesAway }) => choicesAway * row.combine),
      ...(sent > 0 && { sent }),
    },
    memoryBytes: Math.max(...own.map(({ memoryBytes }) => memoryBytes)),
    ...(quantise !== undefined && { quantise }),
    environment: environment(crew.pinned),
  };
}

type Phase = 'dispatch' | 'combine' | 'roundTrip';

/** Row, scales, and for each choice an expert and a weight. */
function bytesOnTheWire({ hidden, topK, dtype }: EpShape): { dispatch: number; combine: number } {
  const row = dtype === 'fp8' ? hidden + Math.ceil(hidden / 128) * 4 : 2 * hidden;
  return { dispatch: row + topK * 8, combine: 2 * hidden };
}
