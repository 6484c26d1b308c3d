import cliProgress from 'cli-progress';
import type { Command } from 'commander';
import { EpCrew } from '../bench/ep/crew.js';
import type { EpContender } from '../bench/ep/protocol.js';
import { measureQuantise } from '../bench/ep/quantise.js';
import { type EpReport, epReport } from '../bench/ep/report.js';
import { EP_PRESETS, type EpShape, ROUTINGS, type Routing, SWEEP } from '../bench/ep/shape.js';
import { epTable } from '../bench/ep/table.js';
import { inTurns } from '../bench/turns.js';
import { invalidArgument } from '../errors.js';
import type { TransportName } from '../mesh/transport-names.js';
import type { WaitPolicy } from '../mesh/wait-policy.js';
import { BENCHED, type BenchOptions, count, oneOf, TRANSPORT_HELP } from './bench-run.js';

interface EpOptions extends BenchOptions {
  preset: string;
  ranks?: number;
  tokens?: number;
  hidden?: number;
  experts?: number;
  topK?: number;
  dtype?: string;
  routing?: string;
  sweep?: boolean;
}

export function registerEp(bench: Command): void {
  bench
    .command('ep')
    .description('dispatch and combine of experts among ranks, beside the floor of the same work')
    .option('--preset <name>', `shape: ${Object.keys(EP_PRESETS).join(', ')}`, 'deepep-decode')
    .option('--transport <name>', TRANSPORT_HELP, 'shm')
    .option('--ranks <n>', 'ranks, each with tokens and experts', count('--ranks', 1, 64))
    .option('--tokens <n>', 'rows of a rank', count('--tokens', 1, 65_536))
    .option('--sweep', `rows of a rank: ${SWEEP.join(', ')}, one after another`)
    .option('--hidden <n>', 'elements of a row', count('--hidden', 1, 1 << 20))
    .option('--experts <n>', 'experts', count('--experts', 1, 65_536))
    .option('--top-k <n>', 'experts that a row chooses', count('--top-k', 1, 64))
    .option('--dtype <type>', 'fp8 or bf16')
    .option('--routing <kind>', ROUTINGS.join(', '))
    .option('--iterations <n>', 'rounds of each contender', count('--iterations', 1, 10_000_000), 500)
    .option('--wait <policy>', 'adaptive, spin, yield or park', 'adaptive')
    .option('--json', 'print one JSON object')
    .action(runEp);
}

/** Measures, prints, and sets the exit code to 1 when bytes were wrong. */
async function runEp(options: EpOptions): Promise<void> {
  const preset = oneOf('--preset', options.preset, Object.keys(EP_PRESETS));
  const transport = oneOf('--transport', options.transport, BENCHED);
  const mode = oneOf('--wait', options.wait, ['adaptive', 'spin', 'yield', 'park'] as const);
  const { ranks, tokens, hidden, experts, topK, dtype, routing } = options;
  const given = {
    ...{ ranks, tokens, hidden, experts, topK },
    dtype: dtype === undefined ? undefined : oneOf('--dtype', dtype, ['fp8', 'bf16'] as const),
    routing: routing === undefined ? undefined : oneOf('--routing', routing, ROUTINGS as readonly Routing[]),
  };
  const shape: EpShape = {
    ...EP_PRESETS[preset]!,
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
  };
  if (shape.topK > shape.experts)
    throw invalidArgument('--top-k', shape.topK, `at most the experts, ${shape.experts}`);
  const reports: EpReport[] = [];
  for (const rows of options.sweep ? SWEEP : [shape.tokens]) {
    reports.push(await measured(preset, { ...shape, tokens: rows }, transport, { mode }, options.iterations));
    if (!options.json) console.log(epTable(reports.at(-1)!));
  }
  if (options.json)
    console.log(JSON.stringify(options.sweep ? { sweep: reports } : reports[0], undefined, 2));
  if (reports.some(({ wrong }) => wrong > 0)) process.exitCode = 1;
}

async function measured(
  preset: string,
  shape: EpShape,
  transport: TransportName,
  wait: WaitPolicy,
  iterations: number,
): Promise<EpReport> {
  const quantise = shape.dtype === 'fp8' ? measureQuantise(shape) : undefined;
  await using crew = await EpCrew.start(shape, transport, wait);
  const contenders: EpContender[] = ['memory', 'streamed', 'native', 'index'];
  if (transport === 'tcp') contenders.unshift('sockets');
  const bar = process.stderr.isTTY
    ? new cliProgress.SingleBar({ stream: process.stderr, format: `ep ${preset} {bar} {percentage}%` })
    : undefined;
  bar?.start(1, 0);
  const turns = await inTurns(
    (contender: EpContender, rounds) => crew.run(contender, rounds),
    contenders,
    iterations,
    (done, of) => {
      bar?.setTotal(of);
      bar?.update(done);
    },
  );
  bar?.stop();
  return epReport(preset, transport, wait, crew, turns, quantise);
}
