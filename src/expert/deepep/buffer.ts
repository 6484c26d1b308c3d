import { closedError } from '../../errors.js';
import { type DispatchLayout, dispatchLayout } from './dispatch-layout.js';
import { Exchanges } from './exchanges.js';
import { type BufferOptions, checkBufferOptions, checkGroup, type Group } from './group.js';
import {
  combineBuffer,
  type LowLatencyCombined,
  type LowLatencyCombineOptions,
  lowLatencyCombine,
} from './low-latency-combine.js';
import {
  type LowLatencyDispatched,
  type LowLatencyDispatchOptions,
  type LowLatencyRows,
  lowLatencyDispatch,
  type PackedSlots,
} from './low-latency-dispatch.js';
import { factsOf, type LowLatencyHandle } from './low-latency-handle.js';
import type { NdArray } from './nd-array.js';
import { type Combined, type CombineOptions, combine } from './normal-combine.js';
import { type Dispatched, type DispatchOptions, dispatch } from './normal-dispatch.js';
import type { DispatchHandle } from './normal-handle.js';
import type { NormalRows } from './normal-rows.js';
import type { ReceivedRows } from './received.js';
import type { TopkIdx } from './routing.js';
import { lowLatencyRdmaSizeHint } from './size-hint.js';

/**
 * The exchange of rows between experts as code written for DeepEP's `Buffer` knows it: names, arguments, shapes and packing
 * are those, in camelCase, keyword arguments in an object, results as an object. docs/deepep.md says what differs.
 *
 *     const buffer = await deepep.Buffer.create({ coordinator, token, rank, size });
 *     const { recvX, recvCount, handle } = await buffer.lowLatencyDispatch(x, topkIdx, 128, 256);
 *     ...                                                      // experts: recvX -> y
 *     const { combinedX } = await buffer.lowLatencyCombine(y, topkIdx, topkWeights, handle);
 *
 * All ranks must make the same calls in the same order, also with 0 tokens. Expert e is on rank floor(e / (numExperts /
 * size)). Of each kind of dispatch (low latency or normal, with one set of shapes) four may be under way that were not
 * combined yet. The first of a kind connects the ranks; a rank whose shapes differ gets WEFT_CONFIG_MISMATCH, with the
 * fields, from it, and the others WEFT_DEADLINE.
 *
 * Every call may throw a WeftError: WEFT_INVALID_ARGUMENT, WEFT_DTYPE and WEFT_TOO_MANY_TOKENS before anything is sent,
 * WEFT_STATE, WEFT_CLOSED, and what waiting and joining throw: WEFT_DEADLINE, WEFT_ABORTED, WEFT_PEER_LOST,
 * WEFT_PEER_CLOSED, WEFT_PROTOCOL, WEFT_CONFIG_MISMATCH, WEFT_AUTH, WEFT_UNAVAILABLE.
 */
export class Buffer implements AsyncDisposable {
  readonly #exchanges: Exchanges;
  readonly #maxTokens: number;
  readonly #packed: PackedSlots = new WeakMap();

  private constructor(group: Group, maxTokens: number) {
    this.#exchanges = new Exchanges(group);
    this.#maxTokens = maxTokens;
  }

  /** A rank's buffer. Nothing is connected before the first dispatch. */
  static async create(group: Group, options: BufferOptions = {}): Promise<Buffer> {
    checkGroup(group);
    checkBufferOptions(options);
    return new Buffer({ ...group }, options.numMaxTokensPerRank ?? 4096);
  }

  /** DeepEP's formula, bit for bit, in bytes. Nothing here needs so much. */
  static getLowLatencyRdmaSizeHint(
    numMaxDispatchTokensPerRank: number,
    hidden: number,
    numRanks: number,
    numExperts: number,
  ): number {
    return lowLatencyRdmaSizeHint(numMaxDispatchTokensPerRank, hidden, numRanks, numExperts);
  }

  get rank(): number {
    return this.#exchanges.rank;
  }

  get groupSize(): number {
    return this.#exchanges.ranks;
  }

  /**
   * How many tokens a routing sends to each rank and expert. Computed here, nothing is sent.
   * @param topkIdx [tokens, topK] global expert ids, -1 for none
   * @param numExperts a multiple of the ranks
   */
  getDispatchLayout(topkIdx: NdArray<TopkIdx>, numExperts: number): DispatchLayout {
    return dispatchLayout(topkIdx, numExperts, this.groupSize);
  }

  /**
   * Normal mode: sends each token once to each rank that has experts of it. It returns when all ranks have dispatched, and
   * `recvX` has come: new memory, the caller's.
   * @param x bf16 [tokens, hidden], or a pair of FP8 [tokens, hidden] and scales [tokens, hidden / 128]; read during the call
   */
  dispatch<X extends NormalRows>(x: X, options: DispatchOptions = {}): Promise<Dispatched<ReceivedRows<X>>> {
    return dispatch(this.#exchanges, this.#maxTokens, x, options);
  }

  /**
   * Normal mode: sends rows back to where they are from, and adds up, in fp32 and in the order of the ranks, what comes back
   * for each token: without weights, which the caller has applied.
   * @param x bf16 [rows of recvX, hidden]; read during the call
   */
  combine(x: NdArray<Uint16Array>, handle: DispatchHandle, options: CombineOptions = {}): Promise<Combined> {
    return combine(this.#exchanges, x, handle, options);
  }

  /**
   * Sends each token to its experts. `recvX` is [experts of this rank, ranks * numMaxDispatchTokensPerRank, hidden]: of each
   * expert the first `recvCount` rows are there, ordered by source rank and token; bf16, or FP8 with scales [..., hidden /
   * 128] (with `useUe8m0` int32 [..., hidden / 512]) that are column-major in their last two axes (see `strides`).
   *
   * `recvX` and `handle.srcInfo` are the caller's until four more dispatches of this kind, the last of which needs this one
   * to be combined. With `returnRecvHook` or `asyncFinish` they, `recvCount` and `handle.layoutRange` are filled when the
   * hook, or the event, is done. Without either, a dispatch that fails while it waits leaves this rank out of step; a hook
   * and an event can be waited for again.
   *
   * @param x bf16 [tokens, hidden]; read during the call
   * @param topkIdx [tokens, topK] global expert ids, -1 for none
   * @param numMaxDispatchTokensPerRank the same on all ranks
   * @param numExperts a multiple of the ranks
   */
  lowLatencyDispatch<Options extends LowLatencyDispatchOptions = Record<never, never>>(
    x: NdArray<Uint16Array>,
    topkIdx: NdArray<TopkIdx>,
    numMaxDispatchTokensPerRank: number,
    numExperts: number,
    options?: Options,
  ): Promise<LowLatencyDispatched<LowLatencyRows<Options>>> {
    return lowLatencyDispatch(
      this.#exchanges,
      this.#packed,
      x,
      topkIdx,
      numMaxDispatchTokensPerRank,
      numExperts,
      options ?? {},
    ) as Promise<LowLatencyDispatched<LowLatencyRows<Options>>>;
  }

  /**
   * Sends the experts' outputs back, and adds up those of each token with its weights: in fp32, in the order of its choices,
   * rounded once; the same bits on every transport. After WEFT_DEADLINE or WEFT_ABORTED the same call may be made again.
   *
   * @param x bf16, packed as `recvX`; read during the call. With `zeroCopy` it is not looked at
   * @param topkIdx that of the dispatch
   * @param topkWeights [tokens, topK]
   * @param handle of the dispatch; it serves one combine
   */
  lowLatencyCombine(
    x: NdArray<Uint16Array>,
    topkIdx: NdArray<TopkIdx>,
    topkWeights: NdArray<Float32Array>,
    handle: LowLatencyHandle,
    options: LowLatencyCombineOptions = {},
  ): Promise<LowLatencyCombined> {
    return lowLatencyCombine(this.#exchanges, x, topkIdx, topkWeights, handle, options);
  }

  /**
   * Where the combine of this handle sends from: bf16, packed as `recvX`, dense. Fill it, then combine with `zeroCopy`. The
   * caller's until then.
   */
  getNextLowLatencyCombineBuffer(handle: LowLatencyHandle): NdArray<Uint16Array> {
    if (this.#exchanges.closed) throw closedError('this buffer', 'combine');
    return combineBuffer(factsOf(handle, this.#exchanges, 'combine'));
  }

  /** Ends every wait with WEFT_CLOSED, and leaves. Results stay readable. Idempotent; never rejects. */
  async destroy(): Promise<void> {
    await this.#exchanges.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.destroy();
  }
}
