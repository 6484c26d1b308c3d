import { AttentionSide } from '../afd/attention.js';
import type { ExchangeContext } from '../afd/context.js';
import { FfnSide } from '../afd/ffn.js';
import type { ResolvedLayout } from '../afd/layout.js';
import type { WaitOptions } from '../afd/wait.js';
import { closedError, invalidArgument, type PeerName, WeftError } from '../errors.js';
import { ExpertSide } from '../expert/side.js';
import type { NativeEndpoint, NativePeer } from '../native.js';
import type { DType } from '../tensor/dtype.js';
import { Heap } from '../tensor/heap.js';
import { Tensor } from '../tensor/tensor.js';
import type { ControlSession } from './control-client.js';
import {
  type Departure,
  type EndpointDescriptor,
  exchangeShape,
  type Member,
  type Role,
  type Roster,
  seatOf,
} from './roster.js';
import { isNetwork, type TransportName } from './transport-names.js';
import { type TransportVerdict, transportVerdicts } from './transports.js';

/** How one peer is reached, and why not in a better way. */
export interface PeerExplanation {
  peer: PeerName;
  transport: TransportName;
  /** The way that data takes, where the transport has several: device, port and address of RDMA. */
  path?: string;
  /** Every transport there is, best first, with the reason why it cannot be used with this peer. */
  considered: TransportVerdict[];
}

/**
 * What went over the link to a peer since the mesh was joined. Where peers read each other's memory (loopback, shm) nothing
 * is sent, and all is 0.
 */
export interface PeerTraffic {
  peer: PeerName;
  /**
   * Messages sent: one for a round that is published at once, one for each block of a streamed one; over tcp, long ones are
   * several of 256 KiB.
   */
  messages: number;
  /** What the device (verbs), UCX (active messages) or the kernel (tcp: system calls) was asked to do for them. */
  requests: number;
  /** Of rows and our headers; what lower layers add is not counted. */
  bytes: number;
  /** Messages that came. */
  arrivals: number;
}

export interface AgreeOptions extends WaitOptions {
  /** Members to go on without, though they may be there. Default: none but those who have departed. */
  without?: readonly PeerName[];
}

/** The same for all members that agreed. */
export interface AgreedMembers {
  /** Of the mesh, one more with every departure. */
  epoch: number;
  /** All who have departed so far, in that order. */
  gone: PeerName[];
}

export interface ChosenPeer extends NativePeer {
  readonly of: Member;
  /** 'self': a rank of an expert-parallel mesh is one of its own peers. */
  readonly transport: TransportName | 'self';
}

interface MeshParts {
  session: ControlSession;
  roster: Roster;
  endpoint: NativeEndpoint;
  layout: ResolvedLayout;
  deadlineMs: number;
  ours: EndpointDescriptor;
  peers: ChosenPeer[];
}

/** A member's place in a mesh, connected to all its peers. Made by `joinMesh()`; closes with `await using`. */
export class Mesh implements AsyncDisposable {
  readonly role: Role;
  readonly rank: number;
  readonly layout: ResolvedLayout;
  readonly roster: Roster;
  readonly #session: ControlSession;
  readonly #endpoint: NativeEndpoint;
  readonly #heap: Heap;
  readonly #parts: MeshParts;
  readonly #attention: AttentionSide | undefined;
  readonly #ffn: FfnSide | undefined;
  readonly #ep: ExpertSide | undefined;
  #closing: Promise<void> | undefined;

  /** @internal */
  constructor(parts: MeshParts) {
    const { session, roster, endpoint, layout } = parts;
    this.#parts = parts;
    this.#session = session;
    this.#endpoint = endpoint;
    this.role = session.role;
    this.rank = session.rank;
    this.layout = layout;
    this.roster = roster;
    const arena = endpoint.arena();
    const heapOffset = endpoint.heapOffset();
    this.#heap = new Heap(arena, heapOffset, arena.byteLength - heapOffset);
    // A host that vanished with bytes under way answers nothing, and tcp, which tells of a peer's end over a network, would
    // try for a quarter of an hour.
    session.onDeparted((departed) => {
      const index = this.#peerIndex(departed);
      if (departed.reason === 'lost' && isNetwork(parts.peers[index]?.transport) && !this.closed)
        endpoint.drop(index);
    });
    const context: ExchangeContext = {
      endpoint,
      layout,
      ...exchangeShape(roster),
      rank: this.rank,
      arena,
      heap: this.#heap,
      deadlineMs: parts.deadlineMs,
      nameOf: (member) => seatOf(roster, member),
      lossOf: (peer) => endpoint.reason(this.#peerIndex(peer)),
      isClosed: () => this.closed,
    };
    if (this.role !== 'ffn') this.#attention = new AttentionSide(context);
    if (this.role !== 'attention') this.#ffn = new FfnSide(context);
    if (this.role === 'ep') this.#ep = new ExpertSide(context, this.#attention!, this.#ffn!);
  }

  /** The attention side. @throws WeftError WEFT_STATE on a member of another role */
  get attention(): AttentionSide {
    return (this.role === 'attention' && this.#attention) || this.#wrongRole('attention');
  }

  /** The FFN side. @throws WeftError WEFT_STATE on a member of another role */
  get ffn(): FfnSide {
    return (this.role === 'ffn' && this.#ffn) || this.#wrongRole('ffn');
  }

  /** Dispatch and combine among the ranks of an expert-parallel mesh. @throws WeftError WEFT_STATE in another mesh */
  get ep(): ExpertSide {
    return this.#ep ?? this.#wrongRole('ep');
  }

  get closed(): boolean {
    return this.#closing !== undefined;
  }

  /** A tensor in registered memory, zeroed at first. @throws WeftError WEFT_INVALID_ARGUMENT when the heap is full */
  tensor(dtype: DType, shape: readonly number[]): Tensor {
    if (this.closed) throw closedError('this mesh');
    return this.#heap.allocate(dtype, shape);
  }

  /** Gives a tensor's memory back; it must not be used any more. */
  free(tensor: Tensor): void {
    if (tensor instanceof Tensor && this.#attention?.writesTo(tensor))
      throw new WeftError('WEFT_STATE', 'tensor is what a combine writes to; free it when that has ended', {
        phase: 'combine',
      });
    if (!(tensor instanceof Tensor) || !this.#heap.free(tensor))
      throw invalidArgument('tensor', tensor, 'a tensor of mesh.tensor() that was not freed yet');
  }

  /** For every peer: the transport in use, and why not a better one. */
  explain(): PeerExplanation[] {
    return this.#others((of, transport, index) => {
      const path = this.#endpoint.path(index);
      return {
        peer: { role: of.role, rank: of.rank },
        transport,
        ...(path !== '' && { path }),
        considered: transportVerdicts(this.#parts.ours, of.endpoint),
      };
    });
  }

  /** For every peer: what was sent to it and came from it, by transports that count it. */
  traffic(): PeerTraffic[] {
    return this.#others((of, _, index) => {
      const [messages, requests, bytes, arrivals] = this.#endpoint.traffic(index);
      return { peer: { role: of.role, rank: of.rank }, messages, requests, bytes, arrivals };
    });
  }

  /**
   * Memory that the exchange takes now, in bytes: the pages of this member's registered memory (slots, heap) that were
   * touched, and of its copies of what peers sent, over transports without shared memory.
   */
  memoryBytes(): number {
    return this.closed ? 0 : this.#endpoint.memoryBytes();
  }

  /**
   * Gives a peer up that is stopped or too slow: from now on it counts as lost here, and this member does there. Waits
   * for it end with WEFT_PEER_LOST, and the slots that it kept in use come back. It cannot be taken back.
   */
  drop(peer: PeerName): void {
    const index = this.#peerIndex(peer);
    if (index < 0) throw invalidArgument('peer', peer, "one of this member's peers, as explain() lists them");
    if (!this.closed) this.#endpoint.drop(index);
  }

  #peerIndex(peer: PeerName): number {
    return this.#parts.peers.findIndex(
      ({ of, transport }) => of.role === peer?.role && of.rank === peer.rank && transport !== 'self',
    );
  }

  #others<T>(about: (of: Member, transport: TransportName, index: number) => T): T[] {
    return this.#parts.peers.flatMap(({ of, transport }, index) =>
      transport === 'self' ? [] : [about(of, transport, index)],
    );
  }

  /**
   * Asks who is gone, together with all other members that are left: each must call it, once for each incident. Resolves
   * when all have, with the same answer for all. Members named in `without` that are still there (stopped, or too slow)
   * are expelled: they are lost to everybody. Links to all who are gone are given up.
   *
   * @throws WeftError WEFT_DEADLINE, WEFT_ABORTED, WEFT_UNAVAILABLE (no coordinator any more), WEFT_STATE (the others go on
   * without this member), WEFT_INVALID_ARGUMENT
   */
  async agree(options: AgreeOptions = {}): Promise<AgreedMembers> {
    const { without = [], deadlineMs = this.#parts.deadlineMs, signal } = options;
    if (this.closed) throw closedError('this mesh', 'agree');
    const { roster } = this;
    const members = without.map((peer) => {
      const found = roster.members.find(({ role, rank }) => role === peer?.role && rank === peer.rank);
      if (found === undefined || found.member === this.#session.member)
        throw invalidArgument('without', peer, 'other members of this mesh, as { role, rank }', {
          phase: 'agree',
        });
      return found.member;
    });
    const epoch = await this.#session.agree(members, { deadlineMs, ...(signal && { signal }) });
    const gone = this.#session.departed.filter((departure) => departure.epoch <= epoch);
    for (const peer of gone) {
      const index = this.#peerIndex(peer);
      if (index >= 0 && !this.closed) this.#endpoint.drop(index);
    }
    return { epoch, gone: gone.map(({ role, rank }) => ({ role, rank })) };
  }

  /** Calls `listener` for every member that left or was lost, as the coordinator tells. Returns how to stop that. */
  onDeparted(listener: (departure: Departure) => void): () => void {
    return this.#session.onDeparted(listener);
  }

  /** Calls `listener` when the coordinator is gone: the mesh works on, but hears of no more departures from it. */
  onCoordinatorLost(listener: (error: WeftError) => void): () => void {
    return this.#session.onCoordinatorLost(listener);
  }

  /** Ends every wait with WEFT_CLOSED, tells the peers, and lets go of everything. Idempotent; never rejects. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    this.#endpoint.close();
    await this.#session.leave();
  }

  #wrongRole(side: Role): never {
    throw new WeftError('WEFT_STATE', `this member is ${this.role} ${this.rank}: it has no ${side} side`);
  }
}
