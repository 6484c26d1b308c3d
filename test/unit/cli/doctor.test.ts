import { availableParallelism } from 'node:os';
import { describe, expect, it } from 'vitest';
import { containerLimits, containerProbe } from '../../../src/cli/doctor/container.js';
import { clockProbe, coresProbe, governorProbe } from '../../../src/cli/doctor/cpu.js';
import { examine } from '../../../src/cli/doctor/examine.js';
import { descriptorsProbe, softLimit } from '../../../src/cli/doctor/limits.js';
import { hugePagesProbe, sharedMemoryProbe, swapProbe } from '../../../src/cli/doctor/memory.js';
import { loopbackProbe, namespacesProbe } from '../../../src/cli/doctor/network.js';
import { type Finding, ok, type Probe } from '../../../src/cli/doctor/probe.js';
import { devicesFinding, lockedMemoryProbe } from '../../../src/cli/doctor/rdma.js';
import { machineOf } from '../../../src/cli/machine.js';

type Files = Record<string, string>;

async function look(probe: Probe, files: Files, ranks = 2): Promise<Finding> {
  return probe.look({ machine: machineOf((path) => files[path]), ranks });
}

const limits = `Limit                     Soft Limit           Hard Limit           Units
Max open files            256                  20000                files
Max locked memory         unlimited            unlimited            bytes`;

describe('limits', () => {
  it('reads /proc/self/limits', () => {
    expect(softLimit(limits, 'Max open files')).toBe(256);
    expect(softLimit(limits, 'Max locked memory')).toBe(Number.POSITIVE_INFINITY);
    expect(softLimit(limits, 'Max something')).toBeUndefined();
    expect(softLimit(undefined, 'Max open files')).toBeUndefined();
  });

  it('asks for descriptors by the number of ranks', async () => {
    const files = { '/proc/self/limits': limits };
    expect(await look(descriptorsProbe, files, 2)).toMatchObject({ status: 'ok' });
    expect(await look(descriptorsProbe, files, 100)).toMatchObject({ status: 'warn', fix: 'ulimit -n 4096' });
    expect(await look(descriptorsProbe, {})).toMatchObject({ status: 'warn' });
  });

  it('tells of locked memory', async () => {
    expect((await look(lockedMemoryProbe, { '/proc/self/limits': limits })).text).toContain('unlimited');
  });
});

describe('rdma devices', () => {
  const port = (state: string) => ({
    number: 1,
    state,
    linkLayer: 'Ethernet',
    interface: 'eth4',
    mtu: 4096,
    maxMessageBytes: 2 ** 30,
    gids: [
      { index: 0, type: 'RoCE v2', gid: 'fe80::1' },
      { index: 1, type: 'RoCE v2', gid: '::ffff:10.0.0.1' },
    ],
  });
  const device = (...states: string[]) => ({
    name: 'mlx5_0',
    firmware: '',
    maxRegionBytes: 2 ** 40,
    maxQueuePairs: 1,
    maxRequests: 1,
    maxPieces: 1,
    maxCompletions: 1,
    maxSharedReceives: 1,
    dmaBuf: true,
    ports: states.map(port),
  });

  it('names ports and addresses', () => {
    const { status, text } = devicesFinding([device('ACTIVE', 'DOWN')]);
    expect(status).toBe('ok');
    expect(text).toContain('mlx5_0 port 1 (Ethernet, ACTIVE, GID 1 ::ffff:10.0.0.1 RoCE v2)');
  });

  it('says how to mend what is down', () => {
    expect(devicesFinding([device('DOWN')])).toMatchObject({ status: 'warn', fix: 'ip link set eth4 up' });
  });

  it('says what is missing where there are none, which is no fault', () => {
    const none = devicesFinding('libibverbs.so.1 could not be loaded');
    expect(none).toMatchObject({ status: 'ok', text: expect.stringContaining('libibverbs') });
    expect(none.fix).toContain('rdma link add');
    expect(devicesFinding([]).fix).toContain('rdma link add');
  });
});

describe('memory', () => {
  const meminfo = (kilobytes: number): Files => ({ '/proc/meminfo': `MemAvailable:   ${kilobytes} kB` });

  it('fails where memfd is refused', async () => {
    const refused = { ...meminfo(1e7), '/proc/sys/vm/memfd_noexec': '2' };
    expect(await look(sharedMemoryProbe, refused)).toMatchObject({
      status: 'fail',
      fix: expect.stringContaining('sysctl'),
    });
  });

  it('warns when little is left', async () => {
    expect(await look(sharedMemoryProbe, meminfo(1e7))).toMatchObject({ status: 'ok' });
    expect(await look(sharedMemoryProbe, meminfo(1e5))).toMatchObject({ status: 'warn' });
  });

  it('warns of swap', async () => {
    const header = 'Filename Type Size Used Priority';
    expect(await look(swapProbe, { '/proc/swaps': header })).toMatchObject({ status: 'ok' });
    const swapping = { '/proc/swaps': `${header}\n/dev/sda2 partition 1 0 -2` };
    expect(await look(swapProbe, swapping)).toMatchObject({ status: 'warn', fix: 'swapoff -a' });
  });

  it('tells which huge pages shared memory has', async () => {
    const path = '/sys/kernel/mm/transparent_hugepage/shmem_enabled';
    const mode = async (text: string): Promise<string> => (await look(hugePagesProbe, { [path]: text })).text;
    expect(await mode('always within_size advise [never] deny force')).toMatch(/none: never.*echo/);
    expect(await mode('always [within_size] advise never deny force')).toBe(
      'shared memory has them: within_size',
    );
  });
});

describe('cpu', () => {
  const clock = '/sys/devices/system/clocksource/clocksource0';

  it('knows the clocks that are fast to read', async () => {
    expect(await look(clockProbe, { [`${clock}/current_clocksource`]: 'tsc' })).toMatchObject({
      status: 'ok',
    });
    const slow = {
      [`${clock}/current_clocksource`]: 'hpet',
      [`${clock}/available_clocksource`]: 'hpet tsc acpi_pm',
    };
    expect(await look(clockProbe, slow)).toMatchObject({
      status: 'warn',
      fix: expect.stringContaining('echo tsc'),
    });
  });

  it('warns of a governor that saves power', async () => {
    const path = '/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor';
    expect(await look(governorProbe, { [path]: 'powersave' })).toMatchObject({ status: 'warn' });
    expect(await look(governorProbe, { [path]: 'performance' })).toMatchObject({ status: 'ok' });
  });

  it('warns when ranks outnumber cores', async () => {
    expect(await look(coresProbe, {}, availableParallelism())).toMatchObject({ status: 'ok' });
    expect(await look(coresProbe, {}, availableParallelism() + 1)).toMatchObject({ status: 'warn' });
  });
});

describe('container limits', () => {
  const of = (files: Files): ReturnType<typeof containerLimits> =>
    containerLimits(machineOf((path) => files[path]));

  it('takes the lowest on the way up, version 2', () => {
    const files = {
      '/proc/self/cgroup': '0::/a/b',
      '/sys/fs/cgroup/a/memory.max': '4294967296',
      '/sys/fs/cgroup/a/b/memory.max': 'max',
      '/sys/fs/cgroup/a/cpu.max': 'max 100000',
      '/sys/fs/cgroup/a/b/cpu.max': '150000 100000',
    };
    expect(of(files)).toEqual({ memoryBytes: 4294967296, cpus: 1.5 });
  });

  it('reads version 1, where a huge number is no limit', () => {
    const files = {
      '/proc/self/cgroup': '4:memory:/x\n1:cpu,cpuacct:/x',
      '/sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712',
      '/sys/fs/cgroup/memory/x/memory.limit_in_bytes': '536870912',
      '/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us': '-1',
    };
    expect(of(files)).toEqual({ memoryBytes: 536870912, cpus: undefined });
  });

  it('is not there outside of one', async () => {
    expect(of({})).toEqual({ memoryBytes: undefined, cpus: undefined });
    expect(await look(containerProbe, {})).toMatchObject({ status: 'ok' });
  });

  it('warns of less time than the ranks spin', async () => {
    const files = { '/proc/self/cgroup': '0::/', '/sys/fs/cgroup/cpu.max': '50000 100000' };
    expect(await look(containerProbe, files)).toMatchObject({
      status: 'warn',
      fix: expect.stringContaining('cpuset'),
    });
  });
});

describe('network', () => {
  it('tries the loopback', async () => {
    expect(await look(loopbackProbe, {})).toMatchObject({ status: 'ok' });
  });

  it('tells of user namespaces', async () => {
    const path = '/proc/sys/user/max_user_namespaces';
    expect(await look(namespacesProbe, { [path]: '100' })).toMatchObject({ status: 'ok' });
    expect(await look(namespacesProbe, { [path]: '0' })).toMatchObject({
      status: 'warn',
      fix: expect.stringContaining('sysctl'),
    });
  });
});

describe('examine', () => {
  it('makes a failure of what a probe throws, and goes on', async () => {
    const probes: Probe[] = [
      { name: 'broken', look: () => Promise.reject(new Error('boom')) },
      { name: 'fine', look: () => ok('yes') },
    ];
    const machine = machineOf(() => undefined);
    const findings = [];
    for await (const finding of examine({ machine, ranks: 1 }, probes)) findings.push(finding);
    expect(findings).toEqual([
      { name: 'broken', status: 'fail', text: 'boom' },
      { name: 'fine', status: 'ok', text: 'yes' },
    ]);
  });
});
