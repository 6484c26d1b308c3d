import type { RdmaDevice } from '../../native.js';
import { loadAddon } from '../load-addon.js';
import { byteText } from '../output.js';
import { softLimit } from './limits.js';
import { type Finding, ok, type Probe, warn } from './probe.js';

const SOFT_ROCE =
  'with an adapter, its driver; without, soft-RoCE: rdma link add rxe0 type rxe netdev eth0 (modprobe rdma_rxe)';

/** Devices, the ports that can be used, and their addresses. A machine without any is no fault. */
export function devicesFinding(found: RdmaDevice[] | string): Finding {
  if (typeof found === 'string') return { ...ok(`none: ${found}`), fix: SOFT_ROCE };
  if (found.length === 0) return { ...ok('none'), fix: SOFT_ROCE };
  const ports = found.flatMap((device) => device.ports.map((port) => ({ device, port })));
  const text = ports
    .map(({ device, port }) => {
      const { index, gid, type } = port.gids.at(-1) ?? { index: 0, gid: 'no GID', type: '' };
      return `${device.name} port ${port.number} (${port.linkLayer}, ${port.state}, GID ${index} ${gid} ${type})`;
    })
    .join('; ');
  const active = ports.filter(({ port }) => port.state === 'ACTIVE');
  if (active.length > 0) return ok(text);
  const name = ports[0]?.port.interface ?? '';
  return warn(`${text}: no port is active`, name === '' ? 'plug the cable in' : `ip link set ${name} up`);
}

export const rdmaProbe: Probe = {
  name: 'rdma devices',
  async look() {
    const addon = await loadAddon().catch(() => undefined);
    return addon === undefined
      ? warn('not looked for, because the addon does not load')
      : devicesFinding(addon.native.rdmaDevices());
  },
};

/** Memory that a device reaches must be locked: the arena, and a mirror of what each peer publishes. */
export const lockedMemoryProbe: Probe = {
  name: 'locked memory',
  async look({ machine }) {
    const limit = softLimit(machine.read('/proc/self/limits'), 'Max locked memory');
    if (limit === undefined) return warn('the limit is not known: /proc/self/limits cannot be read');
    if (limit === Number.POSITIVE_INFINITY) return ok('unlimited');
    const text = `at most ${byteText(limit)}`;
    const rdma = await loadAddon().then(
      ({ native }) => native.rdmaDevices(),
      () => [],
    );
    if (typeof rdma === 'string' || rdma.length === 0) return ok(`${text}; loopback, shm and tcp lock none`);
    return warn(`${text}: verbs locks arenas and mirrors`, 'ulimit -l unlimited (limits.conf: memlock)');
  },
};
