/** Which transport two members use. Both ends decide by this function, from the same two descriptors. */
import { invalidArgument } from '../errors.js';
import { native } from '../native.js';
import type { EndpointDescriptor } from './roster.js';

export type TransportName = 'loopback' | 'shm' | 'tcp';

/** Best first. */
export const TRANSPORTS: readonly TransportName[] = ['loopback', 'shm', 'tcp'];

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
  if (ours.transports[name] === undefined) return 'not offered by this member (see transports of joinMesh)';
  if (theirs.transports[name] === undefined) return 'not offered by the peer';
  if (name === 'tcp') return tcpReason(ours, theirs);
  if (ours.host !== theirs.host) return 'the peer is on another host';
  if (name === 'loopback') return sameProcess(ours, theirs) ? undefined : 'the peer is another process';
  if (ours.uid !== theirs.uid)
    return `the peer runs as another user (${theirs.uid}, this process as ${ours.uid})`;
  if (ours.netns !== theirs.netns) return 'the peer is in another network namespace';
  return undefined;
}

/** A loopback address means another machine, or another network namespace, to everybody else. */
function tcpReason(ours: EndpointDescriptor, theirs: EndpointDescriptor): string | undefined {
  if (ours.host === theirs.host && ours.netns === theirs.netns) return undefined;
  const host = [ours, theirs].map(({ transports }) => transports.tcp!.host).find((one) => LOOPBACK.test(one));
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
  const known = native.info().transports.map((transport) => transport.name);
  if (!Array.isArray(given) || given.length === 0 || given.some((one) => !known.includes(one)))
    throw invalidArgument(name, given, `a list of transports out of ${known.join(', ')}`);
  return [...given];
}

/** For the native side: where a peer listens. */
export function addressOf(peer: EndpointDescriptor, transport: TransportName): string {
  const { shm, tcp, loopback } = peer.transports;
  if (transport === 'shm') return (shm?.socket ?? '').replace(/^@/, '');
  if (transport === 'tcp') return `${tcp?.host} ${tcp?.port}`;
  return loopback?.key ?? '';
}
