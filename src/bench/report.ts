import type { TransportName } from '../mesh/transport-names.js';
import type { WaitPolicy } from '../mesh/wait-policy.js';
import type { Crew } from './crew.js';
import { type Environment, environment } from './environment.js';
import type { Measured } from './measured.js';
import type { Contender } from './protocol.js';
import { type Latency, latencyOf, round } from './statistics.js';

export interface StreamedReport {
  latencyUs: Latency;
  ratioToFloor: number;
}

/** What `weft bench afd --json` and `weft bench pp --json` print. Ratios are of medians. */
export interface BenchReport {
  workload: 'afd' | 'pp';
  preset: string;
  transport: TransportName;
  attention: number;
  ffn: number;
  tokens: number;
  hidden: number;
  depth: number;
  wait: string;
  iterations: number;
  /** Bytes found wrong, of all contenders; every round was verified. */
  wrong: number;
  /** The library, from C++. */
  latencyUs: Latency;
  /** 'memory': shared memory without a library; 'sockets': plain TCP sockets. */
  floor: 'memory' | 'sockets';
  floorUs: Latency;
  ratioToFloor: number;
  /** Over tcp only. */
  memoryFloorUs?: Latency;
  /** The library from TypeScript, blocking. */
  typescriptUs: Latency;
  /** Per round: what the TypeScript round takes more, on both sides together. */
  apiOverheadUs: number;
  /** The library from TypeScript, with promises. */
  promisesUs: Latency;
  promiseOverheadUs: number;
  /** By number of blocks; over shm only. */
  streamed?: Record<string, StreamedReport>;
  /** Per round and peer, over transports that count messages. */
  sent?: { dispatch: Sent; reply: Sent };
  environment: Environment;
}

export interface Sent {
  messages: number;
  requests: number;
  bytes: number;
}

export function report(
  workload: 'afd' | 'pp',
  preset: string,
  transport: TransportName,
  wait: WaitPolicy,
  crew: Crew,
  measured: Map<Contender, Measured>,
): BenchReport {
  // One way of a ping-pong is half of its round trip.
  const scale = workload === 'pp' ? 0.5 : 1;
  const of = (contender: Contender): Latency => latencyOf(measured.get(contender)!.samples, scale);
  const floor = transport === 'tcp' ? 'sockets' : 'memory';
  const [latencyUs, floorUs, typescriptUs, promisesUs] = [
    of('native'),
    of(floor),
    of('typescript'),
    of('promises'),
  ];
  const streamed = [...measured.keys()].filter((name) => name.startsWith('streamed-'));
  const { attention, ffn, tokens, hidden, depth } = crew.shape;
  return {
    workload,
    preset,
    transport,
    attention,
    ffn,
    tokens,
    hidden,
    depth,
    wait: wait.mode ?? 'adaptive',
    iterations: measured.get('native')!.samples.length,
    wrong: [...measured.values()].reduce((sum, { wrong }) => sum + wrong, 0),
    latencyUs,
    floor,
    floorUs,
    ratioToFloor: round(latencyUs.p50 / floorUs.p50),
    ...(floor === 'sockets' && { memoryFloorUs: of('memory') }),
    typescriptUs,
    apiOverheadUs: round((typescriptUs.p50 - latencyUs.p50) / scale),
    promisesUs,
    promiseOverheadUs: round((promisesUs.p50 - latencyUs.p50) / scale),
    ...(streamed.length > 0 && {
      streamed: Object.fromEntries(
        streamed.map((name) => {
          const latency = of(name);
          return [name.slice(9), { latencyUs: latency, ratioToFloor: round(latency.p50 / floorUs.p50) }];
        }),
      ),
    }),
    ...sentOf(measured.get('native')!, crew),
    environment: environment(crew.pinned),
  };
}

function sentOf({ sent, samples }: Measured, { shape }: Crew): Pick<BenchReport, 'sent'> {
  const { attention, ffn } = shape;
  const mean = (ranks: (readonly number[])[]): Sent => {
    const [messages, requests, bytes] = [0, 1, 2].map((i) =>
      round(ranks.reduce((sum, of) => sum + of[i]!, 0) / (samples.length * attention * ffn)),
    ) as [number, number, number];
    return { messages, requests, bytes };
  };
  const [dispatch, reply] = [mean(sent.slice(0, attention)), mean(sent.slice(attention))];
  return dispatch.messages === 0 ? {} : { sent: { dispatch, reply } };
}
