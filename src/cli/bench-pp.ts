import type { Command } from 'commander';
import { pingPongShape } from '../bench/workload.js';
import { type BenchOptions, count, runBench, TRANSPORT_HELP } from './bench-run.js';

interface PingPongOptions extends BenchOptions {
  size: number;
}

export function registerPp(bench: Command): void {
  bench
    .command('pp')
    .description('one-way latency of a message between two ranks (half of a ping-pong), beside the floor')
    .option('--size <bytes>', 'bytes of a message', count('--size', 1, 64 << 20), 8)
    .option('--transport <name>', TRANSPORT_HELP, 'shm')
    .option('--iterations <n>', 'round trips of each contender', count('--iterations', 1, 10_000_000), 20_000)
    .option('--wait <policy>', 'adaptive, spin, yield or park', 'adaptive')
    .option('--json', 'print one JSON object')
    .action(async (options: PingPongOptions) => {
      await runBench('pp', `size-${options.size}`, pingPongShape(options.size), [], options);
    });
}
