import { closedError, invalidArgument, type PeerName, type Phase, peerText, WeftError } from '../errors.js';
import { Code, type NativeFfn, type NativeLayout } from '../native.js';
import type { TypedArray } from '../tensor/dtype.js';
import { type Awaited, awaitRows, awaitRowsSync, type PendingArrivals } from './arrival.js';
import { type ExchangeContext, sourceRole } from './context.js';
import { failure } from './failure.js';
import { dispatchColumns, replyType } from './layout.js';
import { SlotViews } from './slot-views.js';
import type { BlockingOptions, WaitOptions } from './wait.js';

/** Views of one slot of one attention rank, made once. */
export class PartViews {
  readonly rounds: SlotViews;
  readonly output: TypedArray;
  readonly tokenOf: Uint32Array;
  readonly rowOf: Uint32Array;
  readonly selectionRow: Uint32Array;
  readonly selectionExpert: Int32Array;
  readonly selectionK: Uint32Array;

  constructor(
    { layout, arena, rank: own }: ExchangeContext,
    memory: ArrayBuffer[],
    inbound: ArrayBuffer,
    at: NativeLayout,
    rank: number,
    slot: number,
  ) {
    // A rank's own rows are in its own arena.
    const [buffer, base] = layout.symmetric && rank === own ? [arena, at.header] : [inbound, 0];
    this.rounds = new SlotViews(buffer, base, at.dispatch, slot, dispatchColumns(layout), layout.metaBytes);
    const replyColumn = [{ name: 'output', dtype: replyType(layout), width: layout.hidden }];
    const reply = at.replies + (layout.symmetric ? 0 : rank * at.reply.bytes);
    this.output = new SlotViews(arena, reply, at.reply, slot, replyColumn, 0).column('output');
    this.tokenOf = new Uint32Array(memory[0]!);
    this.rowOf = new Uint32Array(memory[1]!);
    this.selectionRow = new Uint32Array(memory[2]!);
    this.selectionExpert = new Int32Array(memory[3]!);
    this.selectionK = new Uint32Array(memory[4]!);
  }
}

/** (row, k) pairs whose expert is on this rank, in reply order: by taken row, then by k. */
export interface Selections {
  readonly count: number;
  /** [count] row in the part's arrays, as `rowOf`. */
  readonly row: Uint32Array;
  /** [count] expert id. */
  readonly expert: Int32Array;
  /** [count] place among the row's choices. */
  readonly k: Uint32Array;
}

export interface PartFacts {
  readonly rank: number;
  readonly generation: number;
  readonly tokens: number;
  readonly rows: number;
  readonly tag: number;
  readonly metaBytes: number;
  /** Selections; -1 when they are not worked out yet. */
  readonly selected: number;
  readonly waitedUs: number;
}

/**
 * One attention rank's round at this FFN rank. Its arrays are views of where the rows lie (in shared memory: the
 * attention rank's own slot), valid and read-only until `reply()`; writing to them ends the process.
 */
export class FfnPart {
  readonly #native: NativeFfn;
  readonly #context: ExchangeContext;
  readonly #views: PartViews;
  readonly #arrivals: PendingArrivals;
  readonly #facts: PartFacts;
  #selected: number;
  #published = 0;
  /** The number of rows of the reply is out. */
  #begun = false;
  #open = true;
  /** publish() has made the last row final, and reply() was not called yet. */
  #awaitsReply = false;

  /** @internal */
  constructor(
    native: NativeFfn,
    context: ExchangeContext,
    views: PartViews,
    arrivals: PendingArrivals,
    facts: PartFacts,
  ) {
    this.#native = native;
    this.#context = context;
    this.#views = views;
    this.#arrivals = arrivals;
    this.#facts = facts;
    this.#selected = facts.selected;
  }

  /** The attention rank. */
  get rank(): number {
    return this.#facts.rank;
  }
  get generation(): number {
    return this.#facts.generation;
  }
  get tag(): number {
    return this.#facts.tag;
  }
  /** Rows of the round at its source. */
  get tokens(): number {
    return this.#facts.tokens;
  }
  /** Rows of it that this rank takes; all of them with mode 'all'. */
  get rows(): number {
    return this.#facts.rows;
  }
  /** Microseconds from the beginning of the wait for the batch until this part was there: who is late shows here. */
  get waitedUs(): number {
    return this.#facts.waitedUs;
  }
  get meta(): Uint8Array {
    return this.#views.rounds.meta.subarray(0, this.#facts.metaBytes);
  }
  /** [rows] the row's number at its source. */
  get tokenOf(): Uint32Array {
    return this.#views.tokenOf.subarray(0, this.rows);
  }
  /** [rows] where the row is in the arrays below: at `rowOf[i] * width`. */
  get rowOf(): Uint32Array {
    return this.#views.rowOf.subarray(0, this.rows);
  }
  /** [maxTokens, hidden]; only the rows in `rowOf` hold data. */
  get hidden(): TypedArray {
    return this.#views.rounds.column('hidden');
  }
  /** FP8 only: [maxTokens, ceil(hidden / 128)]. */
  get scales(): Float32Array {
    return this.#views.rounds.column('scales') as Float32Array;
  }
  /** [maxTokens, topK] */
  get experts(): Int32Array {
    return this.#views.rounds.column('experts') as Int32Array;
  }
  /** [maxTokens, topK] */
  get weights(): Float32Array {
    return this.#views.rounds.column('weights') as Float32Array;
  }
  /** [maxTokens, width] of an extra column. */
  column(name: string): TypedArray {
    return this.#views.rounds.column(name);
  }

  /** Not replied to yet. */
  get isOpen(): boolean {
    return this.#open;
  }

  /**
   * Taken rows that are final by now: equal to `rows`, but for a part that was collected `streamed`.
   * @throws WeftError WEFT_PEER_LOST, WEFT_PEER_CLOSED, WEFT_PROTOCOL or WEFT_CLOSED when the others will never come
   */
  get available(): number {
    const rows = this.#native.available(this.rank, this.generation);
    if (rows === this.rows || !this.#open) return rows;
    const why = this.#whyNoMore('collect');
    if (why === undefined) return rows;
    // What was published before the end counts.
    if (this.#native.available(this.rank, this.generation) === this.rows) return this.rows;
    throw why;
  }

  /**
   * Resolves when at least `rows` taken rows are final (`available`), in a part that was collected `streamed`.
   * @throws WeftError WEFT_DEADLINE, WEFT_ABORTED, WEFT_PEER_LOST, WEFT_PEER_CLOSED, WEFT_CLOSED
   */
  async whenAvailable(rows: number, options: WaitOptions = {}): Promise<void> {
    await awaitRows(this.#awaited(rows), options);
  }

  /** The same, blocking the thread. */
  waitAvailableSync(rows: number, options: BlockingOptions = {}): void {
    awaitRowsSync(this.#awaited(rows), options);
  }

  #awaited(rows: number): Awaited {
    if (!Number.isSafeInteger(rows) || rows < 0 || rows > this.rows)
      throw invalidArgument('rows', rows, `an integer, 0 to ${this.rows} (the rows of this part)`);
    if (!this.#open) throw this.#wrongState('whenAvailable', 'before the reply');
    const { depth } = this.#context.layout;
    return {
      native: this.#native,
      pending: this.#arrivals,
      which: 1 + this.rank * depth + (this.generation % depth),
      peer: this.#peer,
      generation: this.generation,
      rows,
      deadlineMs: this.#context.deadlineMs,
      lossOf: this.#context.lossOf,
    };
  }

  /**
   * Also of a streamed part of which rows are missing, with mode 'routed' or combine 'weighted': choices come first.
   * @throws WeftError WEFT_STATE otherwise, while rows are missing
   */
  get selections(): Selections {
    if (this.#selected < 0) {
      const count = this.#native.select(this.rank, this.generation);
      if (count < 0)
        throw this.#wrongState('selections', 'in a mesh with experts, when all rows of the part have come');
      this.#selected = count;
    }
    const count = this.#selected;
    const { selectionRow, selectionExpert, selectionK } = this.#views;
    return {
      count,
      row: selectionRow.subarray(0, count),
      expert: selectionExpert.subarray(0, count),
      k: selectionK.subarray(0, count),
    };
  }

  /** Rows the reply has: `rows` for combine 'sum', the selections for 'weighted'. */
  get replyRows(): number {
    return this.#context.layout.combine === 'weighted' ? this.selections.count : this.rows;
  }

  /**
   * [replyRows, hidden] to write the results to, in place: for combine 'sum' one row per taken row, for 'weighted' one
   * unweighted row per selection, for 'none' as you like. Bytes with rows of u8, otherwise bf16.
   */
  get output(): TypedArray {
    return this.#views.output;
  }

  /**
   * Streams the reply: output rows below `rows` are final and may be combined; `rows` grows. The last row ends the part,
   * as `reply()` does, which may still be called. A streamed reply has `replyRows` rows, also for combine 'none'.
   */
  publish(rows: number): void {
    if (!this.#open) throw this.#wrongState('publish', 'before the reply is complete');
    this.#send(this.replyRows, rows, false);
    this.#awaitsReply = !this.#open;
  }

  /**
   * The output is complete. Ends the part: none of its arrays may be touched any more.
   * @param rows rows of the reply, for combine 'none' only, and not after `publish()`
   */
  reply(rows?: number): void {
    if (!this.#open && !this.#awaitsReply) throw this.#wrongState('reply', 'once per part');
    // For combine 'none' the reply may have any number of rows, until that is out.
    const free = this.#context.layout.combine === 'none' && !this.#begun;
    if (this.#open) this.#send(rows ?? this.replyRows, rows ?? this.replyRows, free);
    this.#awaitsReply = false;
  }

  #send(rows: number, finalRows: number, free: boolean): void {
    const most = free ? this.#context.layout.maxTokens : this.replyRows;
    if (!Number.isSafeInteger(finalRows) || finalRows < this.#published)
      throw invalidArgument('rows', finalRows, `an integer, ${this.#published} to ${most}`, {
        phase: 'reply',
      });
    if (finalRows > most)
      throw new WeftError(
        'WEFT_TOO_MANY_TOKENS',
        `rows must be at most ${most} in a reply to this part, but ${finalRows} was given`,
        { phase: 'reply', peer: this.#peer, details: { argument: 'rows', given: finalRows, allowed: most } },
      );
    if (rows < most && !free)
      throw invalidArgument('rows', rows, `${most}: a reply to this part has so many; leave it out`, {
        phase: 'reply',
      });
    const code = this.#native.reply(this.rank, this.generation, rows, finalRows);
    if (code === Code.ok) {
      this.#begun = true;
      this.#published = finalRows;
      if (finalRows === rows) this.#open = false;
      return;
    }
    if (code === Code.closed) throw closedError('this mesh', 'reply');
    if (code === Code.again || code === Code.state)
      throw (
        this.#whyNoMore('reply') ?? this.#wrongState('reply', 'when all rows of the part have come, once')
      );
    throw failure(code, { phase: 'reply', peer: this.#peer });
  }

  /** Why no more rows will come; undefined while they may. */
  #whyNoMore(phase: Phase): WeftError | undefined {
    if (this.#context.isClosed()) return closedError('this mesh', phase);
    const code = this.#context.endpoint.peerState(this.rank);
    return code === Code.ok ? undefined : failure(code, { phase, peer: this.#peer });
  }

  get #peer(): PeerName {
    return { role: sourceRole(this.#context), rank: this.rank };
  }

  #wrongState(what: string, when: string): WeftError {
    return new WeftError(
      'WEFT_STATE',
      `${what} may be used ${when} (round ${this.generation} of ${peerText(this.#peer)})`,
      { phase: 'reply', peer: this.#peer },
    );
  }
}
