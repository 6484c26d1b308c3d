import { isWeftError } from '../../errors.js';
import { FABRICS, TRANSPORTS, type TransportName } from '../../mesh/transport-names.js';
import { oneLine } from '../error-line.js';
import { loadAddon } from '../load-addon.js';
import { fail, ok, type Probe, warn } from './probe.js';
import { roundTrip } from './round-trip.js';

const FIXES: Record<TransportName, string | undefined> = {
  loopback: undefined,
  verbs: 'bring the port up, and give its network interface an address',
  shm: 'allow memfd_create, and abstract unix sockets with descriptors passed over them (seccomp, LSM)',
  ucx: 'UCX_LOG_LEVEL=info shows what UCX tries; UCX_TLS and UCX_NET_DEVICES choose',
  tcp: 'ip link set lo up, and allow connections to 127.0.0.1',
};

/** Really moves rows over each transport, there and back. */
export const meshProbes: Probe[] = TRANSPORTS.map((transport) => ({
  name: `mesh over ${transport}`,
  async look() {
    try {
      const { native } = await loadAddon();
      const unavailable = native.unavailable(transport);
      // Not every machine has a fabric; what there is, and what is missing, another probe says.
      if (unavailable && FABRICS.includes(transport)) return ok(`not here: ${unavailable}`);
      if (unavailable) return fail(unavailable, FIXES[transport]);
    } catch {
      return warn('not tried, because the addon does not load');
    }
    try {
      const microseconds = await roundTrip(transport);
      return ok(`16 rows there and back, every bit right; fastest ${microseconds.toFixed(0)} us`);
    } catch (error) {
      const code = isWeftError(error) ? `${error.code}: ` : '';
      return fail(`${code}${oneLine((error as Error).message)}`, FIXES[transport]);
    }
  },
}));
