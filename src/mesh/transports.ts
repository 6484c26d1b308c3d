/** Which transport two members use. Both ends decide by this function, from the same two descriptors. */
import { invalidArgument, WeftError } from '../errors.js';
import { native } from '../native.js';
import type { EndpointDescriptor } from './roster.js';
import {
  FABRICS,
  isNetwork,
  type NetworkTransport,
  TRANSPORTS,
  type TransportName,
} from './transport-names.js';

const found = new Map<TransportName, string>();

/** Why a fabric cannot be used on this machine, undefined when it can; looked at once, as it takes milliseconds. */
function missing(name: TransportName): string | undefined {
  if (!FABRICS.includes(name)) return undefined;
  if (!found.has(name)) found.set(name, native.unavailable(name));
  return found.get(name) || undefined;
}

/**
 * What a member offers that does not say what. UCX only when it is named: it brings threads, signal handlers and protocols
 * of its own into the process, and where it finds no fabric it would stand before our tcp.
 */
export function usableTransports(): TransportName[] {
  return TRANSPORTS.filter((name) => name !== 'ucx' && missing(name) === undefined);
}

/** One transport, considered for one peer. */
export interface TransportVerdict {
  transport: TransportName;
  /** Why it cannot be used with this peer; undefined when it can. */
  unusable: string | undefined;
}

export function transportVerdicts(ours: EndpointDescriptor, theirs: EndpointDescriptor): TransportVerdict[] {
  return TRANSPORTS.map((transport) => ({ transport, unusable: reason(transport, ours, theirs) }));
}

/** The best transport that both offer and that can reach; undefined when there is none. */
export function chooseTransport(
  ours: EndpointDescriptor,
  theirs: EndpointDescriptor,
): TransportName | undefined {
  return transportVerdicts(ours, theirs).find(({ unusable }) => unusable === undefined)?.transport;
}

function reason(
  name: TransportName,
  ours: EndpointDescriptor,
  theirs: EndpointDescriptor,
): string | undefined {
  if (ours.transports[name] === undefined)
    return `not offered by this member (${found.get(name) || 'see transports of joinMesh'})`;
  if (theirs.transports[name] === undefined) return 'not offered by the peer';
  if (isNetwork(name)) return addressReason(name, ours, theirs);
  if (ours.host !== theirs.host) return 'the peer is on another host';
  if (name === 'loopback') return sameProcess(ours, theirs) ? undefined : 'the peer is another process';
  if (ours.uid !== theirs.uid)
    return `the peer runs as another user (${theirs.uid}, this process as ${ours.uid})`;
  if (ours.netns !== theirs.netns) return 'the peer is in another network namespace';
  return undefined;
}

/** A loopback address means another machine, or another network namespace, to everybody else. */
function addressReason(
  name: NetworkTransport,
  ours: EndpointDescriptor,
  theirs: EndpointDescriptor,
): string | undefined {
  if (ours.host === theirs.host && ours.netns === theirs.netns) return undefined;
  const host = [ours, theirs]
    .map(({ transports }) => transports[name]!.host)
    .find((one) => LOOPBACK.test(one));
  return host === undefined
    ? undefined
    : `it listens on ${host} only: give joinMesh a host that others reach`;
}

const LOOPBACK = /^(127\.|::1$|localhost$)/;

/** Process ids repeat between containers; the random part of a socket's name does not. */
function sameProcess(ours: EndpointDescriptor, theirs: EndpointDescriptor): boolean {
  const part = ({ transports }: EndpointDescriptor): string =>
    transports.loopback!.key.slice(0, 'tensorweft-'.length + 16);
  return ours.pid === theirs.pid && part(ours) === part(theirs);
}

export function checkTransports(name: string, given: readonly TransportName[]): TransportName[] {
  if (!Array.isArray(given) || given.length === 0 || given.some((one) => !TRANSPORTS.includes(one)))
    throw invalidArgument(name, given, `a list of transports out of ${TRANSPORTS.join(', ')}`);
  return [...given];
}

/** @throws WeftError WEFT_UNAVAILABLE when a fabric is offered that this machine does not have */
export function checkFound(name: string, offered: readonly TransportName[]): void {
  for (const transport of offered) {
    const why = missing(transport);
    if (why !== undefined)
      throw new WeftError(
        'WEFT_UNAVAILABLE',
        `${name}: ${transport} cannot be used on this machine: ${why}`,
        {
          phase: 'join',
          details: { argument: name, transport, why },
        },
      );
  }
}

/** For the native side: where a peer listens. */
export function addressOf(peer: EndpointDescriptor, transport: TransportName): string {
  const { shm, loopback } = peer.transports;
  if (transport === 'shm') return (shm?.socket ?? '').replace(/^@/, '');
  if (transport === 'loopback') return loopback?.key ?? '';
  const at = peer.transports[transport];
  return `${at?.host} ${at?.port}`;
}
