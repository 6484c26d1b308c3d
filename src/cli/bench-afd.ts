import type { Command } from 'commander';
import { AFD_PRESETS, type Shape } from '../bench/workload.js';
import { type BenchOptions, count, oneOf, runBench, TRANSPORT_HELP } from './bench-run.js';

interface AfdOptions extends BenchOptions {
  preset: string;
  tokens?: number;
  hidden?: number;
  depth?: number;
  attention?: number;
  ffn?: number;
}

export function registerAfd(bench: Command): void {
  bench
    .command('afd')
    .description('dispatch + combine between attention and FFN ranks, beside the floor of the same work')
    .option('--preset <name>', `shape: ${Object.keys(AFD_PRESETS).join(', ')}`, 'step3-1a1f')
    .option('--transport <name>', TRANSPORT_HELP, 'shm')
    .option('--attention <n>', 'attention ranks', count('--attention', 1, 64))
    .option('--ffn <n>', 'FFN ranks', count('--ffn', 1, 64))
    .option('--tokens <n>', 'rows of a round', count('--tokens', 1, 65_536))
    .option('--hidden <n>', 'elements of a row', count('--hidden', 1, 1 << 20))
    .option('--depth <n>', 'micro-batches in flight per attention rank', count('--depth', 1, 64))
    .option('--iterations <n>', 'rounds of each contender', count('--iterations', 1, 10_000_000), 1000)
    .option('--wait <policy>', 'adaptive, spin, yield or park', 'adaptive')
    .option('--json', 'print one JSON object')
    .action(async (options: AfdOptions) => {
      const preset = oneOf('--preset', options.preset, Object.keys(AFD_PRESETS));
      const { tokens, hidden, depth, attention, ffn } = options;
      const given = Object.entries({ tokens, hidden, depth, attention, ffn }).filter(
        ([, value]) => value !== undefined,
      );
      const shape: Shape = { ...AFD_PRESETS[preset]!, ...Object.fromEntries(given) };
      const streamed = [4, 8, 16].filter((blocks) => blocks <= shape.tokens && shape.depth === 1);
      await runBench('afd', preset, shape, streamed, options);
    });
}
