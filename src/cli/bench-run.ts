import cliProgress from 'cli-progress';
import { Crew } from '../bench/crew.js';
import { measure } from '../bench/measure.js';
import type { Contender } from '../bench/protocol.js';
import { type BenchReport, report } from '../bench/report.js';
import { table } from '../bench/table.js';
import type { Shape } from '../bench/workload.js';
import { invalidArgument } from '../errors.js';
import { TRANSPORTS, type TransportName } from '../mesh/transport-names.js';
import type { WaitPolicy } from '../mesh/wait-policy.js';

/** What benchmarks run over: all that connects processes. */
export const BENCHED: readonly TransportName[] = TRANSPORTS.filter((name) => name !== 'loopback');
export const TRANSPORT_HELP: string = BENCHED.join(', ');

export interface BenchOptions {
  transport: string;
  iterations: number;
  wait: string;
  json?: boolean;
}

/** Measures, prints, and sets the exit code to 1 when bytes were wrong. */
export async function runBench(
  workload: 'afd' | 'pp',
  preset: string,
  shape: Shape,
  streamedBlocks: readonly number[],
  options: BenchOptions,
): Promise<void> {
  const transport = oneOf('--transport', options.transport, BENCHED);
  const mode = oneOf('--wait', options.wait, ['adaptive', 'spin', 'yield', 'park'] as const);
  const wait: WaitPolicy = { mode };
  const contenders: Contender[] = ['memory', 'native', 'typescript', 'promises'];
  if (transport === 'tcp') contenders.unshift('sockets');
  else contenders.push(...streamedBlocks.map((blocks): Contender => `streamed-${blocks}`));
  const result = await measured(workload, preset, shape, transport, wait, contenders, options.iterations);
  console.log(options.json ? JSON.stringify(result, undefined, 2) : table(result));
  if (result.wrong > 0) process.exitCode = 1;
}

async function measured(
  workload: 'afd' | 'pp',
  preset: string,
  shape: Shape,
  transport: TransportName,
  wait: WaitPolicy,
  contenders: Contender[],
  iterations: number,
): Promise<BenchReport> {
  await using crew = await Crew.start(shape, transport, wait);
  const bar = process.stderr.isTTY
    ? new cliProgress.SingleBar({
        stream: process.stderr,
        format: `${workload} ${preset} {bar} {percentage}%`,
      })
    : undefined;
  bar?.start(1, 0);
  const results = await measure(crew, contenders, iterations, (done, of) => {
    bar?.setTotal(of);
    bar?.update(done);
  });
  bar?.stop();
  return report(workload, preset, transport, wait, crew, results);
}

export function oneOf<T extends string>(name: string, value: string, allowed: readonly T[]): T {
  if (!allowed.includes(value as T)) throw invalidArgument(name, value, `one of ${allowed.join(', ')}`);
  return value as T;
}

/** A whole number of an option. */
export function count(name: string, least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!Number.isSafeInteger(value) || value < least || value > most)
      throw invalidArgument(name, text, `a whole number, ${least} to ${most}`);
    return value;
  };
}
