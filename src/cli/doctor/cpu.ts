import { availableParallelism, cpus } from 'node:os';
import { ok, type Probe, warn } from './probe.js';

/** Clocks that are read without a system call. */
const FAST_CLOCKS = ['tsc', 'kvm-clock', 'hyperv_clocksource_tsc_page', 'arch_sys_counter'];

export const coresProbe: Probe = {
  name: 'cores',
  look({ ranks }) {
    // Node counts the affinity mask, as the library does.
    const usable = availableParallelism();
    const text = `${usable} usable of ${cpus().length}, for ${ranks} ranks on this host`;
    if (usable >= ranks) return ok(text);
    return warn(
      `${text}: ranks take turns, and waits park instead of spinning`,
      'run fewer ranks on this host',
    );
  },
};

export const governorProbe: Probe = {
  name: 'cpu governor',
  look({ machine }) {
    const governor = machine.read('/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor');
    if (governor === undefined) return ok('not told here, as in most virtual machines');
    if (governor === 'performance') return ok(governor);
    return warn(`${governor}: cores that were idle wake up slow`, 'cpupower frequency-set -g performance');
  },
};

export const clockProbe: Probe = {
  name: 'clock source',
  look({ machine }) {
    const folder = '/sys/devices/system/clocksource/clocksource0';
    const clock = machine.read(`${folder}/current_clocksource`);
    if (clock === undefined) return warn('not told here');
    if (FAST_CLOCKS.includes(clock)) return ok(clock);
    const text = `${clock}: reading the time is a system call, and waits read it often`;
    const has = machine.read(`${folder}/available_clocksource`)?.split(' ').includes('tsc') ?? false;
    return warn(text, has ? `echo tsc > ${folder}/current_clocksource` : 'boot with tsc=reliable');
  },
};
