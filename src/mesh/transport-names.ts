/** The transports, for those who name them without loading the addon. */
export type TransportName = 'loopback' | 'shm' | 'verbs' | 'ucx' | 'tcp';

/** Best first. */
export const TRANSPORTS: readonly TransportName[] = ['loopback', 'shm', 'verbs', 'ucx', 'tcp'];

/** Those whose handshake goes to a host and a port. */
export type NetworkTransport = Extract<TransportName, 'verbs' | 'ucx' | 'tcp'>;

export function isNetwork(name: string | undefined): name is NetworkTransport {
  return name === 'verbs' || name === 'ucx' || name === 'tcp';
}

/** Those that need what not every machine has. */
export const FABRICS: readonly TransportName[] = ['verbs', 'ucx'];
