import { randomBytes } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { fromNative } from '../afd/failure.js';
import { invalidArgument, type WeftError } from '../errors.js';
import { Code, type NativeError, type NativeListeners, native } from '../native.js';
import type { EndpointDescriptor, TransportEndpoints } from './roster.js';
import { TRANSPORTS, type TransportName } from './transport-names.js';

/** A listening socket for each transport, and the descriptor that tells the others of them. */
export interface Listening {
  listeners: NativeListeners;
  descriptor: EndpointDescriptor;
}

/** @param host address that network transports listen on and announce */
export function listen(transports: readonly TransportName[], host: string): Listening {
  const listeners = new native.Listeners();
  // Nobody can guess it: who knows the name of an abstract socket can connect to it, and be turned away.
  const key = `${native.processKey}-${randomBytes(9).toString('base64url')}`;
  const at: TransportEndpoints = {};
  try {
    for (const transport of TRANSPORTS.filter((name) => transports.includes(name))) {
      const address = listeners.listen(transport, host, `${key}-${transport}`);
      if (transport === 'shm') at.shm = { socket: `@${address}` };
      else if (transport === 'loopback') at.loopback = { key: address };
      else {
        const [, port, rails = ''] = address.split(' ');
        if (transport === 'verbs') at.verbs = { host, port: Number(port), rails };
        else at[transport] = { host, port: Number(port) };
      }
    }
  } catch (error) {
    listeners.close();
    if ((error as NativeError).weft === Code.invalidArgument) throw unreachableHost(host);
    throw fromNative(error, () => ({ role: 'attention', rank: 0 }));
  }
  return {
    listeners,
    descriptor: {
      host: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
      netns: readlinkSync('/proc/self/ns/net'),
      uid: process.geteuid?.() ?? 0,
      pid: process.pid,
      transports: at,
    },
  };
}

export function unreachableHost(host: unknown): WeftError {
  return invalidArgument('host', host, 'an address that the other members can connect to, not a wildcard');
}
