/** The transports, for those who name them without loading the addon. */
export type TransportName = 'loopback' | 'shm' | 'verbs' | 'ucx' | 'tcp';

/** Best first. */
export const TRANSPORTS: readonly TransportName[] = ['loopback', 'shm', 'verbs', 'ucx', 'tcp'];

/** Those that need what not every machine has. */
export const FABRICS: readonly TransportName[] = ['verbs', 'ucx'];
