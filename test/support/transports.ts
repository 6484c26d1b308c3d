/**
 * The transports that suites run over: those that are everywhere, and the fabrics of this machine that WEFT_TEST_FABRICS
 * names ("verbs" or "verbs,ucx"). A fabric that is named and does not work fails its tests.
 */
import type { TransportName } from 'tensorweft';

export const fabrics = (process.env.WEFT_TEST_FABRICS ?? '').split(',').filter(Boolean) as TransportName[];

/** Those that connect processes. */
export const betweenProcesses: readonly TransportName[] = ['shm', 'tcp', ...fabrics];

export const everyTransport: readonly TransportName[] = ['loopback', ...betweenProcesses];
