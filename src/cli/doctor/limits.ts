import { ok, type Probe, warn } from './probe.js';

/** Of /proc/self/limits; Infinity for unlimited, undefined when the line is not there. */
export function softLimit(limits: string | undefined, name: string): number | undefined {
  const value = new RegExp(`^${name} +(unlimited|\\d+) `, 'm').exec(limits ?? '')?.[1];
  if (value === undefined) return undefined;
  return value === 'unlimited' ? Number.POSITIVE_INFINITY : Number(value);
}

/** A mesh needs a few descriptors per pair: the link, its memory, two doorbells. Node itself needs some too. */
const PER_PEER = 8;
const FOR_NODE = 128;

export const descriptorsProbe: Probe = {
  name: 'open files',
  look({ machine, ranks }) {
    const limit = softLimit(machine.read('/proc/self/limits'), 'Max open files');
    if (limit === undefined) return warn('the limit is not known: /proc/self/limits cannot be read');
    const needed = FOR_NODE + PER_PEER * ranks;
    const text = `at most ${limit}; a mesh with ${ranks} ranks needs about ${needed} in each process`;
    return limit >= needed ? ok(text) : warn(text, `ulimit -n ${Math.max(needed * 2, 4096)}`);
  },
};
