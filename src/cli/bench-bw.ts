import type { Command } from 'commander';
import { measureBandwidth } from '../bench/bandwidth.js';
import { pingPongShape } from '../bench/workload.js';
import { BENCHED, count, oneOf, TRANSPORT_HELP } from './bench-run.js';
import { printJson } from './output.js';

interface BandwidthOptions {
  size: number;
  depth: number;
  turns: number;
  rounds: number;
  transport: string;
  json?: boolean;
}

export function registerBw(bench: Command): void {
  bench
    .command('bw')
    .description('bytes a second from one rank to another, with several messages in flight')
    .option('--size <bytes>', 'bytes of a message', count('--size', 8, 64 << 20), 1 << 20)
    .option('--depth <n>', 'messages in flight', count('--depth', 1, 1000), 8)
    .option('--transport <name>', TRANSPORT_HELP, 'shm')
    .option('--turns <n>', 'times that it is measured', count('--turns', 1, 10_000), 10)
    .option('--rounds <n>', 'messages of a turn', count('--rounds', 1, 1_000_000), 50)
    .option('--json', 'print one JSON object')
    .action(async ({ size, depth, turns, rounds, transport, json }: BandwidthOptions) => {
      const over = oneOf('--transport', transport, BENCHED);
      const report = await measureBandwidth({ ...pingPongShape(size), depth }, over, turns, rounds);
      if (json) printJson(report);
      else {
        const { min, p50, max } = report.gbPerS;
        console.log(
          `# bw over ${over}: ${size} bytes, ${depth} in flight, ${turns} turns of ${rounds}; wrong: ${report.wrong}\n` +
            `GB/s  min ${min}  p50 ${p50}  max ${max}`,
        );
      }
      if (report.wrong > 0) process.exitCode = 1;
    });
}
