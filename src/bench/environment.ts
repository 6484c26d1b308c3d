import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem } from 'node:os';
import { native } from '../native.js';

/** What a figure depends on beside the program. */
export interface Environment {
  cpu: string;
  cores: number;
  memoryGiB: number;
  kernel: string;
  node: string;
  compiler: string;
  isa: string;
  governor: string;
  clocksource: string;
  pinned: boolean;
}

export function environment(pinned: boolean): Environment {
  const { compiler, isa } = native.info();
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    compiler,
    isa,
    governor: line('/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor'),
    clocksource: line('/sys/devices/system/clocksource/clocksource0/current_clocksource'),
    pinned,
  };
}

function line(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return 'unknown';
  }
}
