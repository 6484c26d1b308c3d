import type { AttentionSide, ClaimOptions } from '../afd/attention.js';
import type { AttentionSlot } from '../afd/attention-slot.js';
import type { ExchangeContext } from '../afd/context.js';
import { failure } from '../afd/failure.js';
import type { FfnSide } from '../afd/ffn.js';
import type { FfnBatch } from '../afd/ffn-batch.js';
import type { BlockingOptions, WaitOptions } from '../afd/wait.js';
import { WeftError } from '../errors.js';
import type { Code, NativeAttention, NativeExpert, NativeFfn } from '../native.js';
import { native } from '../native.js';
import { ExpertBatch, PlaceViews } from './batch.js';
import { onBlocks, type PendingBlocks } from './block-waits.js';

export interface ExpertCollectChoices {
  /**
   * Hand the batch over when all ranks have begun the round, not when all its rows are there: its index list is complete, and
   * `batch.blocks()` tells when rows are. Default false.
   */
  streamed?: boolean;
  /**
   * When a rank is lost: 'error' throws WEFT_PEER_LOST once (collecting again goes on with the others), 'skip' goes on
   * without it. Default 'error'.
   */
  onPeerLoss?: 'error' | 'skip';
}

export interface ExpertCollectOptions extends WaitOptions, ExpertCollectChoices {}
export interface BlockingExpertCollectOptions extends BlockingOptions, ExpertCollectChoices {}

/**
 * A rank of an expert-parallel mesh. Rounds are in step: in each, every rank dispatches the rows of its tokens (which may be
 * none), serves what all ranks sent to its experts, and combines what comes back.
 *
 *     const slot = mesh.ep.claim({ tokens });          // fill hidden, experts, weights
 *     const round = slot.dispatch();
 *     const batch = await mesh.ep.next();              // rows for our experts, of all ranks
 *     ...                                              // batch.expand() -> experts -> batch.output
 *     batch.reply();
 *     const result = await round.combine();
 *
 * `depth` rounds may be in flight. A rank must reply to a round before it waits for the round's result: it is a peer of its
 * own.
 */
export class ExpertSide {
  /** Ids of the experts of this rank, ascending. */
  readonly experts: Int32Array;
  /** Rows that each of `experts` was sent so far, by all ranks: its load. Set it to 0 as you like. */
  readonly loads: Float64Array;
  readonly #context: ExchangeContext;
  readonly #attention: AttentionSide;
  readonly #ffn: FfnSide;
  readonly #native: NativeExpert;
  readonly #views: PlaceViews[];
  readonly #pending: PendingBlocks = new Map();
  #collecting = false;

  /** @internal */
  constructor(context: ExchangeContext, attention: AttentionSide, ffn: FfnSide) {
    this.#context = context;
    this.#attention = attention;
    this.#ffn = ffn;
    this.#native = new native.Expert(ffn.native, onBlocks(this.#pending));
    this.experts = this.#native.experts();
    this.loads = new Float64Array(this.experts.length);
    this.#views = Array.from(
      { length: context.layout.depth },
      (_, slot) => new PlaceViews(context, this.#native, slot),
    );
  }

  /** For benchmarks. @internal */
  get native(): { attention: NativeAttention; ffn: NativeFfn } {
    return { attention: this.#attention.native, ffn: this.#ffn.native };
  }

  /** Ranks of the mesh. */
  get ranks(): number {
    return this.#context.attention;
  }

  /** Rounds that can be in flight. */
  get depth(): number {
    return this.#context.layout.depth;
  }

  /** Takes the next round's slot, as `AttentionSide.claim()` does. */
  claim(options: ClaimOptions): AttentionSlot {
    return this.#attention.claim(options);
  }

  /**
   * The next round's rows for this rank's experts, when every rank that is there has dispatched it.
   *
   * @throws WeftError WEFT_DEADLINE (`details.waitingFor`), WEFT_ABORTED, WEFT_PEER_LOST (call again to go on with the
   * others), WEFT_PROTOCOL, WEFT_CLOSED, WEFT_STATE
   */
  async next(options: ExpertCollectOptions = {}): Promise<ExpertBatch> {
    this.#checkIdle();
    this.#collecting = true;
    try {
      return this.#group(await this.#ffn.next({ ...options, gather: 'all' }));
    } finally {
      this.#collecting = false;
    }
  }

  /** The same, blocking the thread: for engines that run their loop in a worker thread. */
  nextSync(options: BlockingExpertCollectOptions = {}): ExpertBatch {
    this.#checkIdle();
    return this.#group(this.#ffn.nextSync({ ...options, gather: 'all' }));
  }

  /** From the beginning of a wait until what it brought is grouped. */
  #checkIdle(): void {
    if (!this.#collecting) return;
    throw new WeftError('WEFT_STATE', 'a batch is being waited for already; one wait at a time', {
      phase: 'collect',
    });
  }

  /** There is always a batch: one rank, we, has not left. */
  #group(collected: FfnBatch | undefined): ExpertBatch {
    const places = this.#native.group();
    if (places < 0) throw failure(-places as Code, { phase: 'collect' });
    const { generation } = collected!.parts[0]!;
    // They come from a start that rotates.
    const parts = collected!.parts
      .filter((part) => this.#native.sentBy(generation, part.rank))
      .sort((a, b) => a.rank - b.rank);
    const views = this.#views[generation % this.depth]!;
    for (let e = 0; e < this.experts.length; e++) this.loads[e]! += views.counts[e]!;
    return new ExpertBatch(this.#native, this.#context, views, this.#pending, {
      generation,
      parts,
      places,
      experts: this.experts,
    });
  }
}
