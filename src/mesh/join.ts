import { failure, fromNative } from '../afd/failure.js';
import { type ExchangeLayout, nativeConfig, type ResolvedLayout, resolveLayout } from '../afd/layout.js';
import { checkSignal, nativeDeadline } from '../afd/wait.js';
import { abortedError, invalidArgument, type PeerName, peerText, WeftError } from '../errors.js';
import { Code, type NativeEndpoint, type NativeError, type NativePeer, native } from '../native.js';
import { bytesOf } from '../tensor/tensor.js';
import { configHash } from './config-hash.js';
import { type ControlSession, joinControl } from './control-client.js';
import type { ClientTls } from './control-dial.js';
import { type Listening, listen, unreachableHost } from './listen.js';
import { type ChosenPeer, Mesh } from './mesh.js';
import { dataProof } from './proof.js';
import { type Departure, exchangeShape, type Member, type Role, type Roster, seatOf } from './roster.js';
import type { TransportName } from './transport-names.js';
import {
  addressOf,
  checkFound,
  checkTransports,
  chooseTransport,
  transportVerdicts,
  usableTransports,
} from './transports.js';
import { resolveWait, type WaitPolicy } from './wait-policy.js';

export interface JoinOptions {
  /** The coordinator's url. */
  coordinator: string;
  /** The mesh's secret, see `Coordinator.token`. */
  token: string;
  role: Role;
  /** Default: the lowest rank of the role that is free. */
  rank?: number;
  /**
   * Which of the coordinator's meshes to join: a name of at most 64 characters. Each name has a mesh of its own, all of one
   * shape; a coordinator has at most 64. Default ''.
   */
  channel?: string;
  /** Must be the same on all members. */
  layout: ExchangeLayout;
  /**
   * Transports this member offers. Two members use the best that both offer. Default: all that this machine has but ucx.
   * verbs takes the RDMA port with the address `host`, or the first active one, or what WEFT_VERBS_DEVICES says
   * (device[:port[:gid index]], comma between several).
   */
  transports?: readonly TransportName[];
  /** Fail instead of using a transport that is not in this list. */
  require?: readonly TransportName[];
  /** Address that tcp, verbs and ucx listen on and others connect to. Default '127.0.0.1': this machine only. */
  host?: string;
  /** Milliseconds for joining, and the default of every later wait. Default 10,000. */
  deadlineMs?: number;
  /** Ends the joining. */
  signal?: AbortSignal;
  /** Bytes for tensors of `mesh.tensor()`, beside what the exchange needs. Only touched pages take memory. Default 64 MiB. */
  heapBytes?: number;
  /** How blocking waits and the service thread pass the time. Default: adaptive. */
  wait?: WaitPolicy;
  tls?: ClientTls;
}

/**
 * Joins a mesh and connects to every peer; resolves when all members have joined and are connected. Processes may start
 * in any order.
 *
 * @throws WeftError WEFT_INVALID_ARGUMENT, WEFT_AUTH, WEFT_CONFIG_MISMATCH (`details.fields`), WEFT_DEADLINE (naming who is
 * missing), WEFT_ABORTED, WEFT_UNAVAILABLE (no coordinator, or no transport reaches a peer), WEFT_STATE (rank taken)
 */
export async function joinMesh(options: JoinOptions): Promise<Mesh> {
  if (typeof options !== 'object' || options === null)
    throw invalidArgument('options', options, '{ coordinator, token, role, layout }');
  const {
    deadlineMs = 10_000,
    signal,
    token,
    host = '127.0.0.1',
    transports: offered = usableTransports(),
  } = options;
  const until = performance.now() + deadlineMs;
  const left = (): number => Math.max(0, until - performance.now());
  // Everything that can be wrong is looked at before others learn of this member: they could not start without it.
  nativeDeadline(deadlineMs);
  checkSignal(signal, 'join');
  const layout = resolveLayout(options.layout, options.role === 'ep');
  const transports = checkTransports('transports', offered);
  checkFound('transports', transports);
  const required = options.require === undefined ? undefined : checkTransports('require', options.require);
  const { heapBytes = 64 * 1024 * 1024 } = options;
  if (!Number.isSafeInteger(heapBytes) || heapBytes < 0)
    throw invalidArgument('heapBytes', heapBytes, 'a number of bytes, at least 0');
  if (typeof host !== 'string' || host === '') throw unreachableHost(host);
  resolveWait(options.wait, 1);

  const listening = listen(transports, host);
  let session: ControlSession | undefined;
  let endpoint: NativeEndpoint | undefined;
  try {
    session = await joinControl({
      coordinator: options.coordinator,
      token,
      role: options.role,
      rank: options.rank,
      channel: options.channel,
      config: agreed(layout),
      endpoint: listening.descriptor,
      tls: options.tls,
      deadlineMs: left(),
      signal,
    });
    const roster = await session.roster({ deadlineMs: left(), signal });
    const peers = choosePeers(session, roster, listening, token, required);
    const { attention, ffn } = exchangeShape(roster);
    endpoint = new native.Endpoint({
      config: nativeConfig(layout, attention, ffn),
      isAttention: options.role !== 'ffn',
      rank: session.rank,
      member: session.member,
      epoch: roster.epoch,
      meshId: roster.meshId,
      configHash: configHash(agreed(layout)),
      heapBytes: heapBytes + outputBytes(layout, options.role),
      host,
      wait: resolveWait(options.wait, sharedPollers(roster, listening)),
    });
    await connect(endpoint, listening, peers, session, left(), signal);
    return new Mesh({ session, roster, endpoint, layout, deadlineMs, ours: listening.descriptor, peers });
  } catch (error) {
    // Said first, so that peers that wait for us learn that we left, not that our sockets are gone.
    await session?.leave();
    listening.listeners.close();
    endpoint?.close();
    throw fromNative(error, (member) => nameOf(session!, member));
  }
}

/** What is compared and hashed. Placement by default depends on N alone, so leaving it out means the same everywhere. */
function agreed(layout: ResolvedLayout): object {
  return JSON.parse(JSON.stringify(layout)) as object;
}

function outputBytes(layout: ResolvedLayout, role: Role): number {
  if (role === 'ffn' || layout.combine === 'none') return 0;
  return layout.depth * (bytesOf('bf16', [layout.maxTokens, layout.hidden]) + 128);
}

/** Members that poll on this host: with more of them than cores, spinning does harm. */
function sharedPollers(roster: Roster, { descriptor }: Listening): number {
  return roster.members.filter(({ endpoint }) => endpoint.host === descriptor.host).length;
}

function choosePeers(
  session: ControlSession,
  roster: Roster,
  { descriptor }: Listening,
  token: string,
  required: TransportName[] | undefined,
): ChosenPeer[] {
  const { member, nonce, role } = session;
  return roster.members
    .filter((peer) => role === 'ep' || peer.role !== role)
    .map((peer) => {
      if (peer.member === member) return ourselves(peer);
      const name = peerText(peer);
      const transport = chooseTransport(descriptor, peer.endpoint);
      const verdicts = transportVerdicts(descriptor, peer.endpoint);
      const why = verdicts
        .map((verdict) => `${verdict.transport}: ${verdict.unusable ?? 'usable'}`)
        .join('; ');
      if (transport === undefined)
        throw new WeftError('WEFT_UNAVAILABLE', `no transport reaches ${name} (${why})`, {
          phase: 'connect',
          peer: { role: peer.role, rank: peer.rank },
        });
      if (required !== undefined && !required.includes(transport))
        throw new WeftError(
          'WEFT_UNAVAILABLE',
          `${required.join(' or ')} is required, but the best transport to ${name} is ${transport} (${why}); ` +
            'to use no other, offer no other: transports',
          { phase: 'connect', peer: { role: peer.role, rank: peer.rank }, details: { verdicts } },
        );
      const proof = { token, meshId: roster.meshId, epoch: roster.epoch };
      return {
        of: peer,
        member: peer.member,
        transport,
        address: addressOf(peer.endpoint, transport),
        dial: role === 'ep' ? member < peer.member : role === 'attention',
        ourProof: dataProof({
          ...proof,
          from: member,
          to: peer.member,
          fromNonce: nonce,
          toNonce: peer.nonce,
        }),
        theirProof: dataProof({
          ...proof,
          from: peer.member,
          to: member,
          fromNonce: peer.nonce,
          toNonce: nonce,
        }),
      };
    });
}

async function connect(
  endpoint: NativeEndpoint,
  { listeners }: Listening,
  peers: NativePeer[],
  session: ControlSession,
  deadlineMs: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  let gone: Departure | undefined;
  const abort = (): void => endpoint.abortConnect();
  // Who dies before shaking hands leaves no trace on the data plane; the coordinator sees it at once.
  const unlisten = session.onDeparted((departure) => {
    if (departure.role === session.role && session.role !== 'ep') return;
    gone ??= departure;
    abort();
  });
  signal?.addEventListener('abort', abort, { once: true });
  try {
    checkSignal(signal, 'connect');
    await endpoint.connect(listeners, peers, nativeDeadline(deadlineMs));
  } catch (error) {
    const { weft, peer } = error as NativeError;
    if (weft === Code.aborted && signal?.aborted) throw abortedError(signal, 'connect');
    // Its socket may tell before the coordinator does, but not whether it left or was lost.
    const told = weft === Code.aborted || (weft === Code.peerLost && peer === gone?.member);
    if (!told || gone === undefined) throw error;
    const { role, rank, reason } = gone;
    const code = reason === 'left' ? Code.peerClosed : Code.peerLost;
    throw failure(code, { phase: 'connect', peer: { role, rank } });
  } finally {
    unlisten();
    signal?.removeEventListener('abort', abort);
  }
}

/** A rank of an expert-parallel mesh is a peer of its own. */
function ourselves(of: Member): ChosenPeer {
  const none = new Uint8Array(32);
  return {
    of,
    member: of.member,
    transport: 'self',
    address: '',
    dial: false,
    ourProof: none,
    theirProof: none,
  };
}

function nameOf(session: ControlSession, member: number): PeerName {
  return seatOf(session.shape, member);
}
