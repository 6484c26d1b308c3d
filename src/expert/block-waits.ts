import { type ExchangeContext, sources } from '../afd/context.js';
import { waitFailure } from '../afd/failure.js';
import { type Outcome, Pending } from '../afd/pending.js';
import {
  type BlockingOptions,
  checkCancel,
  checkSignal,
  nativeDeadline,
  skipsLost,
  type WaitOptions,
} from '../afd/wait.js';
import { closedError, WeftError } from '../errors.js';
import { Code, type Ended, type NativeExpert } from '../native.js';

export interface BlockChoices {
  /**
   * When a rank is lost, or leaves, whose rows have not all come: 'error' throws WEFT_PEER_LOST, WEFT_PEER_CLOSED or
   * WEFT_PROTOCOL once for each such rank (waiting again goes on), 'skip' goes on. Then its rows count as come, whatever they
   * hold: nobody uses what is made of them. Default 'error'.
   */
  onPeerLoss?: 'error' | 'skip';
}

/** `deadlineMs` is for each block. */
export interface BlockOptions extends WaitOptions, BlockChoices {}
export interface BlockingBlockOptions extends BlockingOptions, BlockChoices {}

/** Waits that the service thread finishes, by slot. */
export type PendingBlocks = Map<number, Pending>;

export function onBlocks(pending: PendingBlocks): Ended {
  return (slot, code, blamed) => {
    const wait = pending.get(slot);
    pending.delete(slot);
    wait?.end(code, blamed);
  };
}

/** Hands out the blocks of one round, each once, as they become complete. */
export class BlockWaits {
  readonly #native: NativeExpert;
  readonly #context: ExchangeContext;
  readonly #pending: PendingBlocks;
  readonly #generation: number;
  /** Experts by number, in the order in which their blocks became complete: native memory. */
  readonly #order: Uint32Array;
  readonly #blocks: number;
  #handedOut = 0;

  /** `blocks`: how many there will be. */
  constructor(
    native: NativeExpert,
    context: ExchangeContext,
    pending: PendingBlocks,
    generation: number,
    order: Uint32Array,
    blocks: number,
  ) {
    this.#native = native;
    this.#context = context;
    this.#pending = pending;
    this.#generation = generation;
    this.#order = order;
    this.#blocks = blocks;
  }

  get isWaiting(): boolean {
    return this.#pending.has(this.#slot);
  }

  /** All were handed out. */
  get isDone(): boolean {
    return this.#handedOut === this.#blocks;
  }

  /** The expert's number; not to be called after the last. */
  async next(options: BlockOptions): Promise<number> {
    const { deadlineMs = this.#context.deadlineMs, signal } = options;
    const skip = skipsLost(options.onPeerLoss);
    checkSignal(signal, 'collect');
    const limit = nativeDeadline(deadlineMs);
    this.#checkIdle();
    const generation = this.#generation;
    const code = this.#native.blocksStart(generation, this.#handedOut, skip, limit);
    let outcome: Outcome = { code, blamed: -1 };
    if (code === Code.again) {
      const wait = new Pending(signal, () => this.#native.blocksCancel(generation));
      this.#pending.set(this.#slot, wait);
      outcome = await wait.promise;
    } else if (code !== Code.ok) {
      outcome.blamed = this.#native.blamed(generation);
    }
    return this.#take(outcome, deadlineMs, signal?.reason);
  }

  nextSync(options: BlockingBlockOptions): number {
    const { deadlineMs = this.#context.deadlineMs, signal, cancel } = options;
    const skip = skipsLost(options.onPeerLoss);
    checkSignal(signal, 'collect');
    checkCancel(cancel);
    const limit = nativeDeadline(deadlineMs);
    this.#checkIdle();
    const code = this.#native.blocksSync(this.#generation, this.#handedOut, skip, limit, cancel);
    const blamed = code === Code.ok ? -1 : this.#native.blamed(this.#generation);
    return this.#take({ code, blamed }, deadlineMs, undefined);
  }

  get #slot(): number {
    return this.#generation % this.#context.layout.depth;
  }

  #checkIdle(): void {
    if (this.#context.isClosed()) throw closedError('this mesh', 'collect');
    if (!this.isWaiting) return;
    throw new WeftError(
      'WEFT_STATE',
      'a block of this batch is being waited for already; one wait at a time',
      {
        phase: 'collect',
      },
    );
  }

  #take(outcome: Outcome, deadlineMs: number, reason: unknown): number {
    if (outcome.code === Code.ok) return this.#order[this.#handedOut++]!;
    const generation = this.#generation;
    throw waitFailure(outcome, this.#context, {
      phase: 'collect',
      deadlineMs,
      reason,
      late: () => sources(this.#context, (rank) => this.#native.waitsFor(generation, rank)),
      details: { generation },
    });
  }
}
