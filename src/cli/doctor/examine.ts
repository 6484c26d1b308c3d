import { addonProbe } from './addon.js';
import { containerProbe } from './container.js';
import { clockProbe, coresProbe, governorProbe } from './cpu.js';
import { descriptorsProbe } from './limits.js';
import { hugePagesProbe, sharedMemoryProbe, swapProbe } from './memory.js';
import { meshProbes } from './mesh.js';
import { loopbackProbe, namespacesProbe } from './network.js';
import { type Finding, fail, type Probe, type ProbeContext } from './probe.js';
import { lockedMemoryProbe, rdmaProbe } from './rdma.js';

const PROBES: readonly Probe[] = [
  addonProbe,
  ...meshProbes,
  loopbackProbe,
  sharedMemoryProbe,
  hugePagesProbe,
  swapProbe,
  rdmaProbe,
  lockedMemoryProbe,
  descriptorsProbe,
  coresProbe,
  governorProbe,
  clockProbe,
  containerProbe,
  namespacesProbe,
];

export interface NamedFinding extends Finding {
  name: string;
}

/** One probe after the other: the meshes of two would slow each other down. */
export async function* examine(
  context: ProbeContext,
  probes: readonly Probe[] = PROBES,
): AsyncGenerator<NamedFinding> {
  for (const probe of probes) {
    const { name } = probe;
    try {
      yield { name, ...(await probe.look(context)) };
    } catch (error) {
      yield { name, ...fail(error instanceof Error ? error.message : String(error)) };
    }
  }
}
