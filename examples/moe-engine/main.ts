/** Command line of the example: generates text with a mixture-of-experts model split over processes. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { Engine } from './engine.js';
import { allIdentical, matrixTable, runMatrix } from './matrix.js';
import { COMBINES, DISPATCHES, expertParallel, MODES, type Split, TRANSPORTS } from './options.js';
import { DEFAULT_PROMPTS } from './prompts.js';
import { report, toJson } from './report.js';

interface Flags extends Omit<Split, 'ep'> {
  readonly ep?: number;
  readonly tokens?: number;
  readonly seed?: number;
  readonly weights?: string;
  readonly config?: string;
  readonly verify: boolean;
  readonly json: boolean;
  readonly matrix: boolean;
}

function integer(low: number, high: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (Number.isInteger(value) && value >= low && value <= high) return value;
    throw new InvalidArgumentError(`wanted an integer from ${low} to ${high}.`);
  };
}

function choice(flags: string, text: string, values: readonly string[]): Option {
  return new Option(flags, text).choices(values).default(values[0]);
}

const program = new Command('moe-engine')
  .description(
    'Generates text with a small mixture-of-experts transformer split over attention and FFN processes, or over ' +
      'expert-parallel ones.',
  )
  .argument('[prompts...]', 'texts to continue (default: a few that are built in)')
  .option('--attention <m>', 'attention processes', integer(1, 64), 2)
  .option('--ffn <n>', 'FFN processes', integer(1, 64), 2)
  .addOption(
    new Option(
      '--ep <r>',
      'expert-parallel processes, each with its share of the requests and of the experts',
    )
      .argParser(integer(1, 64))
      .conflicts(['attention', 'ffn', 'mode']),
  )
  .addOption(choice('--transport <name>', 'how rows travel', TRANSPORTS))
  .addOption(choice('--dispatch <dtype>', 'payload of the dispatch', DISPATCHES))
  .addOption(choice('--mode <mode>', 'send only routed rows, or all rows, to an FFN rank', MODES))
  .addOption(choice('--combine <kind>', 'weigh expert outputs, or sum partial sums of ranks', COMBINES))
  .option(
    '--tokens <n>',
    'tokens to generate per prompt (default: 32, and 8 with --matrix)',
    integer(1, 100_000),
  )
  .option('--seed <n>', 'seed of the weights (default: 1)', integer(0, 2 ** 31 - 1))
  .option('--weights <file>', 'safetensors file to use, or to create when absent (default: a temporary one)')
  .option('--config <file>', 'JSON that overrides the shape of the model')
  .option('--micro-batches <n>', 'rounds in flight per attention rank', integer(2, 64), 3)
  .option('--max-tokens <n>', 'rows of a round at most', integer(1, 4096), 32)
  .option('--deadline-ms <ms>', 'longest that any one wait may take', integer(1, 3_600_000), 30_000)
  .option('--no-verify', 'do not compare with the same engine in one process')
  .option('--json', 'print the result as JSON', false)
  .option('--matrix', 'run all required splits over all transports and payloads', false)
  .action(run);

async function run(texts: string[], flags: Flags): Promise<void> {
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.once(name, () => stop.abort(new Error(`stopped by ${name}`)));
  }
  const { tokens = flags.matrix ? 8 : 32, seed, weights, config, verify, json, matrix, ep, ...rest } = flags;
  const split: Split = { ...rest, ep: false, ...(ep === undefined ? {} : expertParallel(ep)) };
  const prompts = (texts.length > 0 ? texts : DEFAULT_PROMPTS).map((text, id) => ({ id, text, tokens }));
  const note = (text: string): void => console.error(`moe-engine: ${text}`);
  using engine = new Engine(prompts, weights, config, seed);
  if (matrix) {
    const entries = await runMatrix(engine, split, stop.signal, note);
    const runs = entries.map((entry) =>
      entry.result ? toJson(entry.result, prompts) : { split: entry.split, error: entry.error },
    );
    console.log(json ? JSON.stringify(runs) : matrixTable(entries));
    if (!allIdentical(entries)) process.exitCode = 1;
    return;
  }
  const result = await engine.run(split, verify, stop.signal, note);
  console.log(json ? JSON.stringify(toJson(result, prompts)) : report(result, prompts));
  if (result.difference !== undefined) process.exitCode = 1;
}

try {
  await program.parseAsync();
} catch (error) {
  console.error(`moe-engine: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
