import { readFileSync } from 'node:fs';

/** What the kernel tells of this machine through files. Tests put a map of texts in its place. */
export interface Machine {
  /** A file's text without blanks at its ends; undefined when it cannot be read. */
  read(path: string): string | undefined;
  /** A line of /proc/meminfo in bytes. */
  memory(name: string): number | undefined;
}

export function machineOf(read: (path: string) => string | undefined): Machine {
  return {
    read,
    memory: (name) => {
      const kilobytes = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(read('/proc/meminfo') ?? '')?.[1];
      return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
    },
  };
}

export const machine: Machine = machineOf((path) => {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
});
