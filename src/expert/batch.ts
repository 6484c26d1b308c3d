import { columnCopy } from '../afd/column-copy.js';
import type { ExchangeContext } from '../afd/context.js';
import { failure } from '../afd/failure.js';
import type { FfnPart } from '../afd/ffn-part.js';
import { replyType } from '../afd/layout.js';
import { SlotViews } from '../afd/slot-views.js';
import { closedError, invalidArgument, WeftError } from '../errors.js';
import { Code, type NativeExpert } from '../native.js';
import type { TypedArray } from '../tensor/dtype.js';
import { ExpertBlock } from './block.js';
import {
  type BlockingBlockOptions,
  type BlockOptions,
  BlockWaits,
  type PendingBlocks,
} from './block-waits.js';

/** What one rank dispatched in a round: views of where its rows lie, read-only, valid until the batch's `reply()`. */
export type ExpertPart = Pick<
  FfnPart,
  | 'rank'
  | 'tokens'
  | 'rows'
  | 'tag'
  | 'waitedUs'
  | 'meta'
  | 'tokenOf'
  | 'rowOf'
  | 'hidden'
  | 'scales'
  | 'weights'
  | 'column'
>;

/** Views of one slot, made once. */
export class PlaceViews {
  readonly counts: Uint32Array;
  readonly begins: Uint32Array;
  readonly sourceBegins: Uint32Array;
  readonly sourceCounts: Uint32Array;
  readonly source: Uint32Array;
  readonly token: Uint32Array;
  readonly row: Uint32Array;
  readonly k: Uint32Array;
  /** Experts by number, as their blocks became complete. */
  readonly order: Uint32Array;
  /** The reply: for combine 'weighted' a row for each place, for 'sum' one for each row that was sent. */
  readonly reply: Uint16Array;
  /** For combine 'sum', made when it is first asked for: the outputs of experts. */
  outputs: Uint16Array | undefined;

  constructor({ endpoint, arena, layout }: ExchangeContext, native: NativeExpert, slot: number) {
    const arrays = native.memory(slot).map((memory) => new Uint32Array(memory));
    [this.counts, this.begins, this.sourceBegins, this.sourceCounts] = arrays as FourArrays;
    [this.source, this.token, this.row, this.k] = arrays.slice(4) as FourArrays;
    this.order = arrays[8]!;
    const at = endpoint.layout();
    const column = [{ name: 'output', dtype: replyType(layout), width: layout.hidden }];
    this.reply = new SlotViews(arena, at.replies, at.reply, slot, column, 0).column('output') as Uint16Array;
  }
}

type FourArrays = [Uint32Array, Uint32Array, Uint32Array, Uint32Array];

export interface BatchFacts {
  readonly generation: number;
  readonly parts: readonly ExpertPart[];
  readonly places: number;
  readonly experts: Int32Array;
}

/**
 * What all ranks sent to this rank's experts in a round, as an index list onto the rows where they are: expert by expert,
 * each with *places* for its rows, ordered by source rank and token (and choice, for a token that chose the expert twice);
 * the same on every transport. Kernels that want one tensor per expert call `expand()`.
 *
 * Its arrays are valid until `reply()`.
 */
export class ExpertBatch {
  readonly #native: NativeExpert;
  readonly #context: ExchangeContext;
  readonly #views: PlaceViews;
  readonly #facts: BatchFacts;
  readonly #pending: PendingBlocks;
  /** Made when a block is first asked for. */
  #waits: BlockWaits | undefined;
  /** Experts whose blocks are final, when blocks are published. */
  #final: Uint8Array | undefined;
  #published = 0;
  /** The reply is not complete yet. */
  #open = true;
  #replied = false;

  /** @internal */
  constructor(
    native: NativeExpert,
    context: ExchangeContext,
    views: PlaceViews,
    pending: PendingBlocks,
    facts: BatchFacts,
  ) {
    this.#native = native;
    this.#context = context;
    this.#views = views;
    this.#facts = facts;
    this.#pending = pending;
  }

  /** The round's number: 1, 2, 3 and so on. */
  get generation(): number {
    return this.#facts.generation;
  }
  /** One for each rank that dispatched the round, ascending; those that are gone are left out. */
  get parts(): readonly ExpertPart[] {
    return this.#facts.parts;
  }
  /** [experts] ids of this rank's experts, ascending. Arrays by expert below are in this order. */
  get experts(): Int32Array {
    return this.#facts.experts;
  }
  /** [experts] rows of each. */
  get counts(): Uint32Array {
    return this.#views.counts;
  }
  /** [experts] the first place of each. */
  get begins(): Uint32Array {
    return this.#views.begins;
  }
  /** [experts, ranks] the first place of the rows of each source. */
  get sourceBegins(): Uint32Array {
    return this.#views.sourceBegins;
  }
  /** [experts, ranks] rows of each source. */
  get sourceCounts(): Uint32Array {
    return this.#views.sourceCounts;
  }
  /** Places, up to the last one with a row. */
  get places(): number {
    return this.#facts.places;
  }
  /** [places] the rank that sent it; only places with a row hold data, here and below. */
  get source(): Uint32Array {
    return this.#views.source.subarray(0, this.places);
  }
  /** [places] the row's number at its source. */
  get token(): Uint32Array {
    return this.#views.token.subarray(0, this.places);
  }
  /** [places] where it is in the arrays of its source's part. */
  get row(): Uint32Array {
    return this.#views.row.subarray(0, this.places);
  }
  /** [places] which of the row's choices. */
  get k(): Uint32Array {
    return this.#views.k.subarray(0, this.places);
  }
  /** Rows that were sent, a row for several experts counted once. */
  get rows(): number {
    return this.parts.reduce((sum, part) => sum + part.rows, 0);
  }

  /** Not replied to yet. */
  get isOpen(): boolean {
    return this.#open;
  }

  /**
   * Each expert's block as soon as all its rows are there, in that order; experts that were sent nothing have none. For a batch
   * that was collected `streamed`: of another all blocks are there. Each block is handed out once, also when the iteration
   * was left and another is begun.
   *
   * @throws WeftError WEFT_DEADLINE, WEFT_ABORTED, WEFT_PEER_LOST or WEFT_PEER_CLOSED (iterate again to go on), WEFT_PROTOCOL,
   * WEFT_CLOSED, WEFT_STATE (one wait at a time, before the reply)
   */
  async *blocks(options: BlockOptions = {}): AsyncGenerator<ExpertBlock, void, void> {
    for (;;) {
      const block = await this.nextBlock(options);
      if (block === undefined) return;
      yield block;
    }
  }

  /** The next of `blocks()`; undefined after the last. */
  async nextBlock(options: BlockOptions = {}): Promise<ExpertBlock | undefined> {
    const waits = this.#blocksFor('nextBlock');
    return waits && new ExpertBlock(this, await waits.next(options));
  }

  /** The same, blocking the thread. */
  nextBlockSync(options: BlockingBlockOptions = {}): ExpertBlock | undefined {
    const waits = this.#blocksFor('nextBlockSync');
    return waits && new ExpertBlock(this, waits.nextSync(options));
  }

  /** Undefined when all were handed out. */
  #blocksFor(call: string): BlockWaits | undefined {
    if (this.places === 0 || this.#waits?.isDone) return undefined;
    if (!this.#open) throw this.#wrongState(`${call}() may be used before the reply`);
    if (this.#waits === undefined) {
      const { order, counts } = this.#views;
      const blocks = counts.reduce((sum, count) => sum + (count > 0 ? 1 : 0), 0);
      const { generation } = this;
      this.#waits = new BlockWaits(this.#native, this.#context, this.#pending, generation, order, blocks);
    }
    return this.#waits;
  }

  /** @internal */
  expandBlock(index: number, name: string, into: TypedArray | undefined): TypedArray {
    const rows = this.counts[index]!;
    const { out, column, rowBytes } = columnCopy(this.#context.layout, name, into, rows);
    this.#check(this.#native.expandBlock(this.generation, index, column, out, rowBytes), 'expand');
    if (name === 'experts') this.#leaveServed(out as Int32Array, rows);
    return out;
  }

  /** @internal */
  outputOf(index: number): Uint16Array {
    const { hidden } = this.#context.layout;
    const begin = this.begins[index]!;
    return this.output.subarray(begin * hidden, (begin + this.counts[index]!) * hidden);
  }

  /** @internal */
  publishBlock(index: number): void {
    this.#wantWeighted('publish');
    const { counts } = this;
    this.#final ??= Uint8Array.from(counts, (count) => (count === 0 ? 1 : 0));
    this.#final[index] = 1;
    let experts = this.#published;
    while (experts < counts.length && this.#final[experts] === 1) experts++;
    if (experts > this.#published) this.publish(experts);
  }

  /**
   * A column expert by expert: a copy, with a row for each place; places without a row are left as they are.
   * @param name a column; default 'hidden'
   * @param into [at least `places`, width], of the column's type; default a new array
   */
  expand(name = 'hidden', into?: TypedArray): TypedArray {
    const { out, column, rowBytes } = columnCopy(this.#context.layout, name, into, this.places);
    this.#check(this.#native.expand(this.generation, column, out, rowBytes), 'expand');
    if (name === 'experts') this.#leaveServed(out as Int32Array, this.places);
    return out;
  }

  /**
   * A column of the rows that were sent, each once, ordered by source rank and token: a copy. In 'experts' the choices that
   * other ranks serve are -1.
   * @param into [at least `rows`, width], of the column's type; default a new array
   */
  gather(name = 'hidden', into?: TypedArray): TypedArray {
    const { out, column } = columnCopy(this.#context.layout, name, into, this.rows);
    this.#check(this.#native.gather(this.generation, column, out), 'gather');
    if (name === 'experts') this.#leaveServed(out as Int32Array, this.rows);
    return out;
  }

  /** Choices that this rank serves stay, as experts; -1 for those of others, also of other replicas of its experts. */
  #leaveServed(choices: Int32Array, rows: number): void {
    const { layout, rank, attention: ranks } = this.#context;
    const { count, topK, placement } = layout.experts!;
    for (let i = 0; i < rows * topK; i++) {
      const choice = choices[i]!;
      const [expert, replica] = [choice & (2 ** 20 - 1), choice >> 20];
      const on = placement?.[expert]?.[replica] ?? Math.floor((expert * ranks) / count);
      choices[i] = choice >= 0 && on === rank ? expert : -1;
    }
  }

  /**
   * [places, hidden] of bf16, to write the outputs of the experts to. For combine 'weighted' they are published from
   * there; for 'sum' `reply()` adds them up.
   */
  get output(): Uint16Array {
    const views = this.#views;
    const elements = this.places * this.#context.layout.hidden;
    if (this.#context.layout.combine === 'weighted') return views.reply.subarray(0, elements);
    views.outputs ??= new Uint16Array(this.#native.places() * this.#context.layout.hidden);
    return views.outputs.subarray(0, elements);
  }

  /**
   * Combine 'sum' only: [rows, hidden] of bf16 for engines that add up their experts' outputs, with the weights,
   * themselves, in the order of `gather()`. `replySums()` sends it.
   */
  get sums(): Uint16Array {
    this.#wantSum('sums');
    return this.#views.reply.subarray(0, this.rows * this.#context.layout.hidden);
  }

  /**
   * Combine 'weighted' only: the outputs of the first so many of `experts` are final, and may be combined. It grows; with
   * all experts it ends the batch, as `reply()` does.
   */
  publish(experts: number): void {
    this.#wantWeighted('publish');
    if (!Number.isSafeInteger(experts) || experts < this.#published || experts > this.experts.length)
      throw invalidArgument('experts', experts, `an integer, ${this.#published} to ${this.experts.length}`, {
        phase: 'reply',
      });
    if (this.#replied) throw this.#wrongState('publish() may be used before the reply');
    if (this.#open) {
      // Experts without rows have no places of their own.
      let end = 0;
      for (let e = 0; e < experts; e++) if (this.counts[e]! > 0) end = this.begins[e]! + this.counts[e]!;
      this.#send(experts === this.experts.length ? this.places : end);
    }
    this.#published = experts;
  }

  /** The output is complete. Ends the batch: none of its arrays may be touched any more. */
  reply(): void {
    if (this.#context.layout.combine === 'sum' && this.#open)
      this.#check(this.#native.reduce(this.generation, this.output), 'reply');
    this.#end();
  }

  /** Combine 'sum' only: `sums` is complete. Ends the batch, as `reply()` does. */
  replySums(): void {
    this.#wantSum('replySums');
    this.#end();
  }

  #end(): void {
    if (this.#replied) throw this.#wrongState('reply() may be used once');
    // Unless publish() has ended it.
    if (this.#open) this.#send(this.#native.replyRows(this.generation));
    this.#replied = true;
  }

  #send(finalRows: number): void {
    const ends = finalRows === this.#native.replyRows(this.generation);
    if (ends && this.#waits?.isWaiting)
      throw this.#wrongState('a batch may be ended while no block of it is waited for');
    this.#check(this.#native.reply(this.generation, finalRows), 'reply');
    if (ends) this.#open = false;
  }

  #check(code: Code, call: string): void {
    if (code === Code.ok) return;
    if (code === Code.closed) throw closedError('this mesh', 'reply');
    if (code === Code.state) throw this.#wrongState(`${call}() may be used before the reply`);
    if (code === Code.again)
      throw this.#wrongState(`${call}() may be used when all rows have come: nextBlock() waits for them`);
    throw failure(code, { phase: 'reply' });
  }

  #wantWeighted(what: string): void {
    if (this.#context.layout.combine !== 'weighted')
      throw this.#wrongState(`${what}() may be used with combine 'weighted'`);
  }

  #wantSum(what: string): void {
    if (this.#context.layout.combine !== 'sum')
      throw this.#wrongState(`${what} may be used with combine 'sum'`);
  }

  #wrongState(text: string): WeftError {
    return new WeftError('WEFT_STATE', `${text} (round ${this.generation})`, { phase: 'reply' });
  }
}
