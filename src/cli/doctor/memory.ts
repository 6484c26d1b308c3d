import { statfsSync } from 'node:fs';
import { byteText } from '../output.js';
import { fail, ok, type Probe, warn } from './probe.js';

const LOW = 1024 ** 3;

/** Shared memory is memfd: the size of /dev/shm does not limit it, the machine's memory and the control group do. */
export const sharedMemoryProbe: Probe = {
  name: 'shared memory',
  look({ machine }) {
    const noexec = machine.read('/proc/sys/vm/memfd_noexec');
    if (noexec === '2')
      return fail('vm.memfd_noexec is 2: memfd_create is refused', 'sysctl -w vm.memfd_noexec=1');
    const available = machine.memory('MemAvailable');
    if (available === undefined) return warn('/proc/meminfo does not tell how much memory is available');
    const text = `memfd, ${byteText(available)} of memory available${shmText()}`;
    return available < LOW
      ? warn(text, 'end what holds memory, or use a smaller heapBytes and depth')
      : ok(text);
  },
};

function shmText(): string {
  try {
    const { blocks, bsize } = statfsSync('/dev/shm');
    return `; /dev/shm has ${byteText(blocks * bsize)} and is not used`;
  } catch {
    return '; there is no /dev/shm, and none is needed';
  }
}

/**
 * Pages of an arena are those of a memfd, so `shmem_enabled` rules, not `enabled`. The usual "never" is no fault: small
 * arenas gain nothing, so it is told and not warned of.
 */
export const hugePagesProbe: Probe = {
  name: 'huge pages',
  look({ machine }) {
    const path = '/sys/kernel/mm/transparent_hugepage/shmem_enabled';
    const mode = chosen(machine.read(path));
    if (mode === undefined) return ok('this kernel has no transparent huge pages');
    if (['always', 'within_size', 'force'].includes(mode)) return ok(`shared memory has them: ${mode}`);
    return ok(`shared memory has none: ${mode}; for large arenas: echo within_size > ${path}`);
  },
};

export const swapProbe: Probe = {
  name: 'swap',
  look({ machine }) {
    const swaps = machine.read('/proc/swaps');
    if (swaps === undefined || swaps.split('\n').length < 2) return ok('none');
    return warn('active: pages of an arena that are swapped out cost milliseconds', 'swapoff -a');
  },
};

/** "always [madvise] never" -> "madvise" */
function chosen(text: string | undefined): string | undefined {
  return /\[(\w+)\]/.exec(text ?? '')?.[1];
}
