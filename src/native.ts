/**
 * Everything the addon exports, and the one place where it is loaded. Nothing else imports it by path.
 *
 * Codes below are numbers of native/core/status.h; `failure()` in src/afd/failure.ts makes errors of them.
 */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isMainThread } from 'node:worker_threads';
import { WeftError } from './errors.js';

/** native/core/status.h, `Code`, in its order. */
export const Code = {
  ok: 0,
  again: 1,
  deadline: 2,
  aborted: 3,
  closed: 4,
  peerLost: 5,
  peerClosed: 6,
  configMismatch: 7,
  auth: 8,
  protocol: 9,
  invalidArgument: 10,
  tooManyRows: 11,
  slotBusy: 12,
  state: 13,
  unavailable: 14,
  system: 15,
} as const;
export type Code = (typeof Code)[keyof typeof Code];

/** What set-up calls throw: a native Error in JavaScript's dress. */
export interface NativeError extends Error {
  weft: Code;
  phase: number;
  /** Member id, -1 for none. */
  peer: number;
  errno: number;
}

export interface NativeConfig {
  attention: number;
  ffn: number;
  hidden: number;
  maxTokens: number;
  depth: number;
  rowType: number;
  powerOfTwoScales: boolean;
  routed: boolean;
  symmetric: boolean;
  combine: number;
  experts: number;
  topK: number;
  /** [experts] how many ranks each is on. */
  replicas: Uint32Array;
  /** Those ranks, expert by expert. */
  placement: Uint32Array;
  expertAlignment: number;
  expertRows: number;
  metaBytes: number;
  extraColumns: Uint32Array;
}

export interface NativePublicationLayout {
  bytes: number;
  maxRows: number;
  /** [slot] */
  meta: number[];
  /** [slot][column] */
  columns: number[][];
}

export interface NativeLayout {
  /** Where the first publication begins in an arena. */
  header: number;
  /** Where the first of its replies does. */
  replies: number;
  dispatch: NativePublicationLayout;
  reply: NativePublicationLayout;
}

export interface NativePeer {
  member: number;
  transport: string;
  address: string;
  dial: boolean;
  ourProof: Uint8Array;
  theirProof: Uint8Array;
}

export interface NativeListeners {
  /** The address for peers. */
  listen(transport: string, host: string, key: string): string;
  close(): void;
}

export interface NativeEndpointOptions {
  config: NativeConfig;
  isAttention: boolean;
  rank: number;
  member: number;
  epoch: number;
  meshId: Uint8Array;
  configHash: Uint8Array;
  heapBytes: number;
  /** The address that peers know this member by. */
  host: string;
  wait: { mode: number; pollers: number; spinUs: number; yieldUs: number };
}

export interface NativeEndpoint {
  /** `peers` in order of their ranks. Rejects with a NativeError. */
  connect(listeners: NativeListeners, peers: NativePeer[], deadlineMs: number): Promise<void>;
  abortConnect(): void;
  close(): void;
  /** Our whole arena, writable. */
  arena(): ArrayBuffer;
  heapOffset(): number;
  /** What we read of a peer, from the start of its publication; writing to it ends the process. */
  inbound(peer: number): ArrayBuffer;
  layout(): NativeLayout;
  peerState(peer: number): Code;
  /** Why a peer is not up, where more is known than its state. */
  reason(peer: number): string | undefined;
  /** The way that its data takes, for people; '' where the transport's name says it all. */
  path(peer: number): string;
  /** [messages, requests, bytes, arrivals] */
  traffic(peer: number): [number, number, number, number];
  /** Resident bytes of our arena and of the mirrors of peers' rows. */
  memoryBytes(): number;
  /** Gives the peer up: it is lost for us, and we are for it. */
  drop(peer: number): void;
}

export interface NativeAttention {
  /** A generation, or a Code as a negative number. */
  claim(): number;
  publish(
    generation: number,
    rows: number,
    finalRows: number,
    tag: number,
    metaBytes: number,
    reroute: boolean,
  ): Code;
  badToken(generation: number): number;
  abandon(generation: number): Code;
  /** [rows, topK] instead of the weights that the round was published with. */
  reweigh(generation: number, weights: Float32Array): Code;
  /** Offsets in our arena, -1 for no second: rows of bf16 to add up in front of the replies. */
  bias(generation: number, first: number, second: number): Code;
  /** `outOffset` in our arena; a negative `deadlineMs` is no deadline. */
  combineSync(
    generation: number,
    outOffset: number,
    outIsF32: boolean,
    onLoss: number,
    deadlineMs: number,
    cancelFlag?: Int32Array,
  ): Code;
  /** `again`: the constructor's callback will be called, and then done(). */
  combineStart(
    generation: number,
    outOffset: number,
    outIsF32: boolean,
    onLoss: number,
    deadlineMs: number,
  ): Code;
  combineCancel(generation: number): void;
  done(generation: number, code: Code): void;
  /** Member id. */
  blamed(generation: number): number;
  /** Ranks whose replies are not complete. */
  missing(generation: number): number[];
  /** [ranks] microseconds, NaN for those whose replies were not complete. Not while a combine of the slot is under way. */
  waits(generation: number): Float64Array;
  replyRows(generation: number, rank: number): number;
}

export interface NativeFfn {
  /** tokenOf, rowOf, selection rows, experts, ks of a part: native memory. */
  partMemory(attention: number, slot: number): ArrayBuffer[];
  /** [count, then for each part: rank, generation, rows, taken, tag, metaBytes, selections, us waited]. */
  report(): ArrayBuffer;
  /** `how`: the kind of gather, and 4 for streamed, 8 to skip lost ranks. More than 6 arguments would be allocated. */
  collectSync(
    how: number,
    count: number,
    withinMs: number,
    deadlineMs: number,
    cancelFlag: Int32Array | undefined,
  ): Code;
  collectStart(how: number, count: number, withinMs: number, deadlineMs: number): Code;
  collectCancel(): void;
  collectDone(code: Code): void;
  blamed(): number;
  /** After a collect that ended without: whether this attention rank had nothing ready. */
  waitsFor(attention: number): boolean;
  available(attention: number, generation: number): number;
  /** Until `rows` taken rows of a part are final. */
  arrivalSync(
    attention: number,
    generation: number,
    rows: number,
    deadlineMs: number,
    cancelFlag?: Int32Array,
  ): Code;
  /** `again`: the constructor's callback will be called with 1 + attention * depth + slot. */
  arrivalStart(attention: number, generation: number, rows: number, deadlineMs: number): Code;
  arrivalCancel(attention: number, generation: number): void;
  /** The number of selections, or a Code as a negative number. */
  select(attention: number, generation: number): number;
  reply(attention: number, generation: number, rows: number, finalRows: number): Code;
}

/** Of a symmetric exchange, beside its Ffn, which collects. */
export interface NativeExpert {
  /** Ids of this rank's experts, ascending. */
  experts(): Int32Array;
  /**
   * Of a slot: count and begin [experts]; begin and count [experts, ranks]; source, token, row and k [places]; experts in the
   * order in which their blocks became complete [experts]. Native memory of u32.
   */
  memory(slot: number): ArrayBuffer[];
  /** The most that a round can need. */
  places(): number;
  /** Groups what was collected last: places up to the last that is used, or a Code as a negative number. */
  group(): number;
  /** Whether a rank's part is among what was grouped: not, when it could not be. */
  sentBy(generation: number, rank: number): boolean;
  /** `stride` in bytes. */
  expand(generation: number, column: number, out: ArrayBufferView, stride: number): Code;
  /** `expert`: its number on this rank. */
  expandBlock(generation: number, expert: number, column: number, out: ArrayBufferView, stride: number): Code;
  gather(generation: number, column: number, out: ArrayBufferView): Code;
  /** Until more than `seen` blocks are complete. */
  blocksSync(
    generation: number,
    seen: number,
    skipLost: boolean,
    deadlineMs: number,
    cancel?: Int32Array,
  ): Code;
  blocksStart(generation: number, seen: number, skipLost: boolean, deadlineMs: number): Code;
  blocksCancel(generation: number): void;
  blamed(generation: number): number;
  waitsFor(generation: number, rank: number): boolean;
  reduce(generation: number, outputs: ArrayBufferView): Code;
  replyRows(generation: number): number;
  reply(generation: number, finalRows: number): Code;
}

export type Ended = (which: number, code: Code, blamed: number) => void;

export interface NativeInfo {
  compiler: string;
  simd: string;
  isa: string;
  cores: number;
  frameVersion: number;
  transports: { name: string; sharesMemory: boolean }[];
}

/** native/transport/verbs/device.h */
export interface RdmaDevice {
  name: string;
  firmware: string;
  maxRegionBytes: number;
  maxQueuePairs: number;
  /** Of a queue pair. */
  maxRequests: number;
  /** Of a gather list. */
  maxPieces: number;
  maxCompletions: number;
  maxSharedReceives: number;
  /** Whether it reaches memory of other devices, say of a GPU, by dma-buf. */
  dmaBuf: boolean;
  ports: {
    number: number;
    /** 'ACTIVE' when it can be used. */
    state: string;
    linkLayer: string;
    /** The network interface of an Ethernet port. */
    interface: string;
    mtu: number;
    maxMessageBytes: number;
    gids: { index: number; type: string; gid: string }[];
  }[];
}

/** native/transport/ucx/ucx.h */
export interface UcxOffer {
  version: string;
  /** What it could use, as it names them: 'tcp/eth0', 'rc_verbs/mlx5_0:1'. */
  resources: string[];
  /** Whether some of that is neither TCP nor memory of this host. */
  fabric: boolean;
  /** Kinds of memory that it could reach: 'host', 'cuda', 'rocm' and so on. */
  memory: string[];
}

/** native/bench/workload.h */
export interface NativeWorkload {
  attention: number;
  ffn: number;
  tokens: number;
  hidden: number;
  fp8: boolean;
  opaque: boolean;
  depth: number;
  blocks: number;
}

/** native/bench/ep/work.h */
export interface NativeEpWork {
  ranks: number;
  tokens: number;
  hidden: number;
  experts: number;
  topK: number;
  fp8: boolean;
  /** 0 uniform, 1 zipf, 2 hot */
  routing: number;
  depth: number;
}

export interface NativeEpRun {
  work: NativeEpWork;
  /** 'native' copies rows expert by expert, 'index' leaves them where they are. */
  contender: 'memory' | 'streamed' | 'sockets' | 'native' | 'index';
  rank: number;
  base: number;
  fd: number;
  yields: boolean;
  sockets: NativeSockets | undefined;
  attention: NativeAttention;
  ffn: NativeFfn;
}

declare const socketsBrand: unique symbol;
export type NativeSockets = { readonly [socketsBrand]: true };

/** The contenders of `weft bench`. Samples are nanoseconds; results are bytes found wrong. */
export interface NativeBench {
  /** A file descriptor of that much zeroed memory, for children to inherit. */
  shared(bytes: number): number;
  floorBytes(work: NativeWorkload): number;
  /** Keeps the calling thread on one core. */
  /** To the i-th core that the calling thread may run on. */
  pin(i: number): boolean;
  floor(
    work: NativeWorkload,
    fd: number,
    isAttention: boolean,
    rank: number,
    base: number,
    samplesOrRounds: Float64Array | number,
    yields: boolean,
  ): number;
  listen(): [NativeSockets, number] | undefined;
  connect(sockets: NativeSockets | undefined, ports: number[]): NativeSockets | undefined;
  accept(sockets: NativeSockets, count: number): boolean;
  sockets(
    work: NativeWorkload,
    sockets: NativeSockets,
    isAttention: boolean,
    rank: number,
    base: number,
    samplesOrRounds: Float64Array | number,
    spins: boolean,
  ): number;
  attention(
    work: NativeWorkload,
    side: NativeAttention,
    samples: Float64Array,
    outOffset: number,
  ): [Code, number];
  ffn(work: NativeWorkload, side: NativeFfn, rounds: number): Code;
  streamAttention(work: NativeWorkload, side: NativeAttention, samples: Float64Array): Code;
  streamFfn(work: NativeWorkload, side: NativeFfn, rounds: number): [Code, number];
  /** Nanoseconds of each turn: a copy of [rows, hidden] bf16, and FP8 of the same. */
  quantise(rows: number, hidden: number, copyNs: Float64Array, quantiseNs: Float64Array): void;
  /** Bytes of the memory that the ranks of `ep` share. */
  epBytes(work: NativeEpWork): number;
  ep(
    run: NativeEpRun,
    dispatch: Float64Array,
    combine: Float64Array,
  ): [
    Code,
    wrong: number,
    /** Rows for other ranks, each once for a rank, and choices of their experts. */
    rowsAway: number,
    choicesAway: number,
  ];
  /** The workload of the three calls below. */
  use(work: NativeWorkload): void;
  fill(attention: number, generation: number, payload: ArrayBufferView, scales?: ArrayBufferView): void;
  consume(payload: ArrayBufferView, scales: ArrayBufferView | undefined, output: ArrayBufferView): void;
  countWrong(payload: ArrayBufferView, scales: ArrayBufferView | undefined, result: ArrayBufferView): number;
}

export interface NativeAddon {
  bench: NativeBench;
  Listeners: new () => NativeListeners;
  Endpoint: new (options: NativeEndpointOptions) => NativeEndpoint;
  Attention: new (endpoint: NativeEndpoint, onCombined: Ended) => NativeAttention;
  Ffn: new (endpoint: NativeEndpoint, onCollected: Ended) => NativeFfn;
  Expert: new (ffn: NativeFfn, onBlocks: Ended) => NativeExpert;
  info(): NativeInfo;
  /** Why a transport can't be used here; '' when it can. Tries each time. */
  unavailable(transport: string): string;
  /** The RDMA devices of this machine, or why there can't be any. */
  rdmaDevices(): RdmaDevice[] | string;
  /** What UCX could use on this machine, or why it can't be used. Loads it, which is for good. */
  ucxOffer(): UcxOffer | string;
  /** 16 characters that no other process has. */
  processKey: string;
  /** Ends every blocking wait of every thread of this process with `closed`, and the threads of the addon. */
  interruptAll(): void;
  quantise(
    src: Uint16Array | Float32Array,
    q: Uint8Array,
    scales: Float32Array,
    rows: number,
    hidden: number,
    powerOfTwo: boolean,
  ): Code;
  dequantise(
    q: Uint8Array,
    scales: Float32Array,
    out: Uint16Array | Float32Array,
    rows: number,
    hidden: number,
  ): Code;
  widen(src: Uint16Array, out: Float32Array): Code;
  narrow(src: Float32Array, out: Uint16Array): Code;
  gather(src: Uint8Array, index: Uint32Array, rowBytes: number, out: Uint8Array, outRow: number): Code;
}

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** Where an addon may lie: what was built here first, then what the package ships. */
function load(): NativeAddon {
  const require = createRequire(import.meta.url);
  const tried: string[] = [];
  const candidates = [
    process.env.TENSORWEFT_ADDON,
    join(root, 'out/cmake/Release/tensorweft.node'),
    join(root, 'build/Release/tensorweft.node'),
  ];
  for (const path of candidates) {
    if (path === undefined) continue;
    try {
      return require(path) as NativeAddon;
    } catch (error) {
      tried.push(`${path}: ${(error as Error).message.split('\n')[0]}`);
    }
  }
  try {
    const options = { name: 'tensorweft', napi_versions: [9] };
    return (require('pkg-prebuilds') as (root: string, options: object) => NativeAddon)(root, options);
  } catch (error) {
    tried.push(`prebuilds: ${(error as Error).message.split('\n')[0]}`);
  }
  throw new WeftError(
    'WEFT_UNAVAILABLE',
    `the native addon could not be loaded on ${process.platform}-${process.arch}, Node ${process.version}; ` +
      `build it with 'npm run build' in ${root}. Tried:\n  ${tried.join('\n  ')}`,
    { details: { tried } },
  );
}

export const native: NativeAddon = load();

// A process that exits waits for its threads; a worker that blocks in a wait would hold it up. And no thread may use the
// libraries below while they are taken down.
if (isMainThread) process.once('exit', () => native.interruptAll());
