import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { fail, ok, type Probe, warn } from './probe.js';

const TIMEOUT_MS = 2000;

/** The coordinator and tcp listen on it unless told otherwise. */
export const loopbackProbe: Probe = {
  name: 'loopback network',
  async look() {
    try {
      await echo();
      return ok('127.0.0.1 carries bytes');
    } catch (error) {
      return fail(`127.0.0.1: ${(error as Error).message}`, 'ip link set lo up');
    }
  },
};

async function echo(): Promise<void> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const server = createServer((socket) => void socket.on('error', () => {}).pipe(socket));
  let socket: Socket | undefined;
  try {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening', { signal });
    socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    await once(socket, 'connect', { signal });
    socket.end('weft');
    const [bytes] = (await once(socket, 'data', { signal })) as [Buffer];
    if (bytes.toString() !== 'weft') throw new Error('other bytes came back than were sent');
  } finally {
    socket?.destroy();
    server.close();
  }
}

/** Nothing of the library needs them; trying out networks without being root does. */
export const namespacesProbe: Probe = {
  name: 'user namespaces',
  look({ machine }) {
    const most = machine.read('/proc/sys/user/max_user_namespaces');
    const unprivileged = machine.read('/proc/sys/kernel/unprivileged_userns_clone');
    if (most === undefined) return ok('not told here; only experiments with networks use them');
    if (most !== '0' && unprivileged !== '0') return ok('available without privileges');
    const setting = most === '0' ? 'user.max_user_namespaces=15000' : 'kernel.unprivileged_userns_clone=1';
    return warn(
      'not available without privileges; only experiments with networks use them',
      `sysctl -w ${setting}`,
    );
  },
};
