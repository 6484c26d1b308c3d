import { availableParallelism } from 'node:os';
import type { Machine } from '../machine.js';
import { byteText } from '../output.js';
import { ok, type Probe, warn } from './probe.js';

const LOW = 1024 ** 3;
/** Control groups of version 1 say "no limit" with a number of this size. */
const NO_LIMIT = 2 ** 62;

/** What a container may use. The lowest limit on the way up counts; undefined is none. */
export interface ContainerLimits {
  memoryBytes: number | undefined;
  /** Cores' worth of time, 1.5 for 150 ms in each 100 ms. */
  cpus: number | undefined;
}

export function containerLimits(machine: Machine): ContainerLimits {
  const groups = (machine.read('/proc/self/cgroup') ?? '').split('\n').map((line) => line.split(':'));
  const pathOf = (controller: string): string =>
    groups.find(([, controllers]) => controllers?.split(',').includes(controller))?.[2] ?? '/';
  const memory = [
    ...upwards(machine, '/sys/fs/cgroup', pathOf(''), 'memory.max'),
    ...upwards(machine, '/sys/fs/cgroup/memory', pathOf('memory'), 'memory.limit_in_bytes'),
  ].map(Number);
  const cpu = [
    ...upwards(machine, '/sys/fs/cgroup', pathOf(''), 'cpu.max'),
    ...upwards(machine, '/sys/fs/cgroup/cpu', pathOf('cpu'), 'cpu.cfs_quota_us').map(
      (quota) => `${quota} 100000`,
    ),
  ].map((text) => {
    const [quota, period] = text.split(' ').map(Number);
    return quota! / period!;
  });
  return {
    memoryBytes: least(memory.filter((bytes) => bytes < NO_LIMIT)),
    cpus: least(cpu),
  };
}

export const containerProbe: Probe = {
  name: 'container limits',
  look({ machine, ranks }) {
    const { memoryBytes, cpus } = containerLimits(machine);
    const text = [
      memoryBytes === undefined ? 'memory not limited' : `memory at most ${byteText(memoryBytes)}`,
      cpus === undefined ? 'cpu time not limited' : `cpu time of ${Number(cpus.toFixed(2))} cores`,
    ].join(', ');
    if (memoryBytes !== undefined && memoryBytes < LOW)
      return warn(`${text}: arenas count as memory`, 'raise the memory limit of the container');
    if (cpus !== undefined && cpus < Math.min(ranks, availableParallelism()))
      return warn(
        `${text}: spinning ranks use it up and are stopped`,
        'give the container whole cores (a cpuset)',
      );
    return ok(text);
  },
};

/** The file's text in the group's folder and all above it; a container may see its own group as the root. */
function upwards(machine: Machine, root: string, group: string, file: string): string[] {
  const parts = group.split('/').filter(Boolean);
  const folders = parts.map((_, i) => [root, ...parts.slice(0, i + 1)].join('/'));
  return [root, ...folders]
    .map((folder) => machine.read(`${folder}/${file}`))
    .filter((text) => text !== undefined);
}

/** Of those that are limits: "max" is not a number, and -1 is no quota. */
function least(values: number[]): number | undefined {
  const limits = values.filter((value) => value > 0 && Number.isFinite(value));
  return limits.length === 0 ? undefined : Math.min(...limits);
}
