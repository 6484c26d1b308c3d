import { closedError, invalidArgument, type PeerName, WeftError } from '../errors.js';
import { Code } from '../native.js';
import type { TypedArray } from '../tensor/dtype.js';
import { Tensor } from '../tensor/tensor.js';
import type { AttentionSide } from './attention.js';
import type { RoundFacts } from './attention-slot.js';
import { type CombineInputs, giveInputs } from './combine-inputs.js';
import type { ExchangeContext } from './context.js';
import { waitFailure } from './failure.js';
import { checkOnPeerLoss, nativeOnLoss, type OnPeerLoss } from './loss.js';
import { type Outcome, Pending } from './pending.js';
import { type BlockingOptions, checkCancel, checkSignal, nativeDeadline, type WaitOptions } from './wait.js';

export interface CombineChoices extends CombineInputs {
  /**
   * Where the result goes: a bf16 or f32 tensor of this mesh with room for [tokens, hidden]. Default: a bf16 tensor of
   * the slot's own, valid until the slot is claimed again.
   */
  into?: Tensor;
  /**
   * When an FFN rank is gone before it replied: 'error' throws, 'skip' combines without it, as if its contributions
   * were zero, and so on. Default: what the round was claimed with.
   */
  onPeerLoss?: OnPeerLoss;
}

export interface CombineOptions extends WaitOptions, CombineChoices {}
export interface BlockingCombineOptions extends BlockingOptions, CombineChoices {}

/** What one FFN rank replied, in place. */
export interface RankReply {
  readonly rank: number;
  readonly rows: number;
  /** [rows, hidden]; valid until the slot is claimed again. */
  readonly output: TypedArray;
}

/** A dispatched round: its result is combined when every FFN rank has replied, block by block as they do. */
export class AttentionRound {
  readonly #side: AttentionSide;
  readonly #context: ExchangeContext;
  readonly #facts: RoundFacts;
  #abandoned = false;

  /** @internal */
  constructor(side: AttentionSide, context: ExchangeContext, facts: RoundFacts) {
    this.#side = side;
    this.#context = context;
    this.#facts = facts;
  }

  get generation(): number {
    return this.#facts.generation;
  }
  get tokens(): number {
    return this.#facts.tokens;
  }
  /** FFN ranks whose replies are not complete; after a combine with onPeerLoss 'skip', those it went without. */
  get missing(): PeerName[] {
    return this.#side.missing(this.generation);
  }

  /**
   * [ranks] microseconds from the beginning of the last combine until each rank's reply was complete: who is late shows here.
   * NaN for those whose replies are not, for all while it is combined, and when the slot's next round was.
   */
  get waitedUs(): Float64Array {
    if (this.#side.pending.has(this.generation)) return new Float64Array(this.#context.ffn).fill(Number.NaN);
    return this.#side.native.waits(this.generation);
  }

  /**
   * The combined result, [tokens, hidden]. After WEFT_DEADLINE or WEFT_ABORTED it may be called again.
   *
   * @throws WeftError WEFT_DEADLINE (`details.waitingFor` names the ranks), WEFT_ABORTED, WEFT_PEER_LOST,
   * WEFT_PEER_CLOSED, WEFT_PROTOCOL, WEFT_CLOSED, WEFT_STATE (combined already), WEFT_FOREIGN_BUFFER, WEFT_DTYPE
   */
  async combine(options: CombineOptions = {}): Promise<Tensor> {
    const target = this.#target(options);
    await this.#wait(target, options);
    return this.#side.resultOf(target!, this.tokens);
  }

  /** The same, blocking the thread: for engines that run their loop in a worker thread. */
  combineSync(options: BlockingCombineOptions = {}): Tensor {
    const target = this.#target(options);
    this.#waitSync(target, options);
    return this.#side.resultOf(target!, this.tokens);
  }

  /** For combine 'none': what each rank replied, in place. */
  async replies(options: WaitOptions & Pick<CombineChoices, 'onPeerLoss'> = {}): Promise<RankReply[]> {
    this.#wantNone();
    await this.#wait(undefined, options);
    return this.#replies();
  }

  repliesSync(options: BlockingOptions & Pick<CombineChoices, 'onPeerLoss'> = {}): RankReply[] {
    this.#wantNone();
    this.#waitSync(undefined, options);
    return this.#replies();
  }

  /** The result is not wanted: the slot comes back by itself when every FFN rank has replied or is gone. */
  abandon(): void {
    this.#checkCombine();
    this.#side.native.abandon(this.generation);
    this.#abandoned = true;
  }

  /** @internal */
  get isAbandoned(): boolean {
    return this.#abandoned;
  }

  async #wait(target: Tensor | undefined, options: CombineOptions): Promise<void> {
    const { deadlineMs = this.#context.deadlineMs, signal } = options;
    checkSignal(signal, 'combine');
    this.#checkIdle();
    const { generation } = this;
    const { native } = this.#side;
    this.#give(options);
    const code = native.combineStart(generation, ...this.#aim(target, options), nativeDeadline(deadlineMs));
    let outcome: Outcome = { code, blamed: -1 };
    if (code === Code.again) {
      const wait = new Pending(signal, () => native.combineCancel(generation));
      this.#side.pending.set(generation, { native, wait, into: target });
      outcome = await wait.promise;
    } else if (code !== Code.ok) {
      outcome.blamed = native.blamed(generation);
    }
    if (outcome.code !== Code.ok) throw this.#failure(outcome, deadlineMs, signal?.reason);
  }

  #waitSync(target: Tensor | undefined, options: BlockingCombineOptions): void {
    const { deadlineMs = this.#context.deadlineMs, signal, cancel } = options;
    checkSignal(signal, 'combine');
    checkCancel(cancel);
    this.#checkIdle();
    const { native } = this.#side;
    this.#give(options);
    const code = native.combineSync(
      this.generation,
      ...this.#aim(target, options),
      nativeDeadline(deadlineMs),
      cancel,
    );
    if (code !== Code.ok)
      throw this.#failure({ code, blamed: native.blamed(this.generation) }, deadlineMs, undefined);
  }

  #aim(target: Tensor | undefined, options: CombineChoices): [number, boolean, number] {
    const { onPeerLoss = this.#facts.onPeerLoss } = options;
    const onLoss = nativeOnLoss(checkOnPeerLoss(onPeerLoss, this.#context.layout));
    return [target === undefined ? -1 : target.data.byteOffset, target?.dtype === 'f32', onLoss];
  }

  /** Weights and biases. */
  #give(choices: CombineChoices): void {
    const code = giveInputs(this.#side.native, this.#context, this.#facts, choices);
    if (code !== Code.ok) throw this.#failure({ code, blamed: -1 }, 0, undefined);
  }

  #target(options: CombineChoices): Tensor | undefined {
    const { layout, heap } = this.#context;
    if (layout.combine === 'none')
      throw new WeftError('WEFT_STATE', "this mesh's layout has combine 'none': call replies() instead", {
        phase: 'combine',
      });
    const { into } = options;
    if (into === undefined) return this.#side.outputOf(this.generation);
    if (!(into instanceof Tensor) || !heap.owns(into))
      throw new WeftError(
        'WEFT_FOREIGN_BUFFER',
        'into must be a tensor of this mesh, made by mesh.tensor() and not freed; other memory is not registered',
        { phase: 'combine', details: { argument: 'into' } },
      );
    if (into.dtype !== 'bf16' && into.dtype !== 'f32')
      throw new WeftError('WEFT_DTYPE', `into must be bf16 or f32, but is ${into.dtype}`, {
        phase: 'combine',
        details: { argument: 'into', given: into.dtype, allowed: ['bf16', 'f32'] },
      });
    if (into.data.length < this.tokens * layout.hidden)
      throw invalidArgument('into', into.shape, `at least [${this.tokens}, ${layout.hidden}]`);
    return into;
  }

  #replies(): RankReply[] {
    const { ffn, layout } = this.#context;
    return Array.from({ length: ffn }, (_, rank) => {
      const rows = this.#side.native.replyRows(this.generation, rank);
      const output = this.#side
        .replyOf(this.generation, rank)
        .column('output')
        .subarray(0, rows * layout.hidden);
      return { rank, rows, output };
    });
  }

  #wantNone(): void {
    if (this.#context.layout.combine === 'none') return;
    throw new WeftError(
      'WEFT_STATE',
      "replies() is for layouts with combine 'none': call combine() instead",
      {
        phase: 'combine',
      },
    );
  }

  #checkIdle(): void {
    if (this.#context.isClosed()) throw closedError('this mesh', 'combine');
    this.#checkCombine();
  }

  #checkCombine(): void {
    if (this.#side.pending.size === 0 || !this.#side.pending.has(this.generation)) return;
    throw new WeftError('WEFT_STATE', `round ${this.generation} is being combined already`, {
      phase: 'combine',
    });
  }

  #failure(outcome: Outcome, deadlineMs: number, reason: unknown): WeftError {
    if (outcome.code === Code.state)
      return new WeftError(
        'WEFT_STATE',
        `round ${this.generation} cannot be combined: it was combined already, has failed, or was abandoned`,
        { phase: 'combine' },
      );
    return waitFailure(outcome, this.#context, {
      phase: 'combine',
      deadlineMs,
      reason,
      late: () => this.#side.missing(this.generation),
      details: { generation: this.generation },
    });
  }
}
