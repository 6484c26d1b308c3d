import { closedError, invalidArgument, WeftError } from '../errors.js';
import { Code, native } from '../native.js';
import { SCALE_GROUP } from '../tensor/convert.js';
import type { TypedArray } from '../tensor/dtype.js';
import type { AttentionSide } from './attention.js';
import { AttentionRound } from './attention-round.js';
import type { ExchangeContext } from './context.js';
import { failure } from './failure.js';
import type { OnPeerLoss } from './loss.js';
import type { SlotViews } from './slot-views.js';

/** What a round is about. */
export interface RoundFacts {
  readonly generation: number;
  readonly tokens: number;
  readonly tag: number;
  readonly metaBytes: number;
  readonly onPeerLoss: OnPeerLoss;
}

/**
 * A claimed slot: the arrays that the next round is published from. Fill rows 0 to `tokens`, then `dispatch()`; peers
 * read the arrays in place, so they must not be touched after that until the slot is claimed again.
 */
export class AttentionSlot {
  readonly #side: AttentionSide;
  readonly #context: ExchangeContext;
  readonly #views: SlotViews;
  readonly #facts: RoundFacts;
  #round: AttentionRound | undefined;
  /** Rows that are final. */
  #published = 0;
  /** Dispatched or abandoned. */
  #ended = false;

  /** @internal */
  constructor(side: AttentionSide, context: ExchangeContext, views: SlotViews, facts: RoundFacts) {
    this.#side = side;
    this.#context = context;
    this.#views = views;
    this.#facts = facts;
  }

  /** The round's number: 1, 2, 3 and so on. */
  get generation(): number {
    return this.#facts.generation;
  }
  get tokens(): number {
    return this.#facts.tokens;
  }
  /** [maxTokens, hidden]: bf16 as Uint16Array, FP8 and u8 as Uint8Array, f32 as Float32Array. */
  get hidden(): TypedArray {
    return this.#views.column('hidden');
  }
  /** FP8 only: [maxTokens, ceil(hidden / 128)]. */
  get scales(): Float32Array {
    return this.#views.column('scales') as Float32Array;
  }
  /** [maxTokens, topK] expert ids, -1 for none. Must be final before `begin()`, which may note replicas in it. */
  get experts(): Int32Array {
    return this.#views.column('experts') as Int32Array;
  }
  /** [maxTokens, topK]. Must be final before `begin()`. */
  get weights(): Float32Array {
    return this.#views.column('weights') as Float32Array;
  }
  /** [maxTokens, width] of an extra column. */
  column(name: string): TypedArray {
    return this.#views.column(name);
  }

  /**
   * Quantises rows to FP8 into the slot, with their scales: rows `firstRow` on.
   * @param src [rows, hidden] of bf16 or fp32
   */
  quantize(src: Uint16Array | Float32Array, firstRow = 0): void {
    const { layout } = this.#context;
    if (layout.dtype !== 'fp8e4m3') throw this.#wrongType('quantize', 'fp8e4m3');
    const rows = this.#rowsOf(src, firstRow);
    const { hidden } = layout;
    const groups = Math.ceil(hidden / SCALE_GROUP);
    const end = firstRow + rows;
    native.quantise(
      src,
      this.hidden.subarray(firstRow * hidden, end * hidden) as Uint8Array,
      this.scales.subarray(firstRow * groups, end * groups),
      rows,
      hidden,
      layout.powerOfTwoScales,
    );
  }

  /**
   * Writes rows `firstRow` on: bf16 as they are, fp32 rounded to bf16. For rows of other types, fill `hidden`.
   * @param src [rows, hidden] of bf16 or fp32
   */
  write(src: Uint16Array | Float32Array, firstRow = 0): void {
    const { layout } = this.#context;
    if (layout.dtype !== 'bf16') throw this.#wrongType('write', 'bf16');
    const rows = this.#rowsOf(src, firstRow);
    const out = this.hidden.subarray(
      firstRow * layout.hidden,
      (firstRow + rows) * layout.hidden,
    ) as Uint16Array;
    if (src instanceof Float32Array) native.narrow(src, out);
    else out.set(src);
  }

  /** Publishes all rows. After a `begin()` it publishes the rest, if there is any. */
  dispatch(): AttentionRound {
    if (this.#isOver) throw this.#wrongState('dispatch', 'once per claimed slot');
    const round = this.#isComplete ? this.#round! : this.#publish(this.tokens);
    this.#ended = true;
    return round;
  }

  /**
   * Announces a streamed round: FFN ranks that asked for streams may start on it, and `publish()` makes its rows final
   * block by block. The columns `experts` and `weights`, and the metadata, must be complete.
   */
  begin(): AttentionRound {
    if (this.#round !== undefined || this.#isOver)
      throw this.#wrongState('begin', 'once, before any row is published');
    return this.#publish(0);
  }

  /** Rows below `rows` are final, in a round that `begin()` announced; `rows` grows up to `tokens`. */
  publish(rows: number): void {
    if (this.#round === undefined || this.#isOver)
      throw this.#wrongState('publish', 'after begin() and before dispatch()');
    if (!Number.isSafeInteger(rows) || rows < this.#published || rows > this.tokens)
      throw invalidArgument(
        'rows',
        rows,
        `an integer, ${this.#published} (already published) to ${this.tokens}`,
      );
    if (rows > this.#published) this.#publish(rows);
  }

  /**
   * Gives the slot back. When it is the one claimed last and not published, it is as if it had not been claimed; one
   * claimed before that goes out as a round without rows, because rounds have no gaps. A published one: see its round.
   */
  abandon(): void {
    if (this.#isOver) throw this.#wrongState('abandon', 'once, before dispatch()');
    if (this.#round !== undefined) this.#round.abandon();
    else this.#side.native.abandon(this.generation);
    this.#ended = true;
  }

  /** Nothing more can be done with this slot. */
  get #isOver(): boolean {
    return this.#ended || this.#round?.isAbandoned === true;
  }

  #publish(finalRows: number): AttentionRound {
    const { generation, tokens, tag, metaBytes, onPeerLoss } = this.#facts;
    const reroute = onPeerLoss === 'reroute';
    const code = this.#side.native.publish(generation, tokens, finalRows, tag, metaBytes, reroute);
    if (code !== Code.ok) throw this.#dispatchFailure(code);
    this.#published = finalRows;
    this.#round ??= new AttentionRound(this.#side, this.#context, this.#facts);
    return this.#round;
  }

  /** A round without rows is complete as soon as it has begun. */
  get #isComplete(): boolean {
    return this.#round !== undefined && this.#published === this.tokens;
  }

  #dispatchFailure(code: Code): WeftError {
    if (code === Code.closed) return closedError('this mesh', 'dispatch');
    if (code === Code.state) return this.#wrongState('dispatch', 'once per claimed slot, while it is held');
    if (code !== Code.invalidArgument && code !== Code.tooManyRows)
      return failure(code, { phase: 'dispatch' });
    const token = this.#side.native.badToken(this.generation);
    const { count, topK } = this.#context.layout.experts!;
    const given = this.experts.subarray(token * topK, (token + 1) * topK);
    if (code === Code.tooManyRows)
      return invalidArgument(
        `experts of row ${token}`,
        given,
        "distinct: with layout.experts.packing 'padded' an expert has places for maxTokens rows of a rank",
        { phase: 'dispatch' },
      );
    return invalidArgument(`experts of row ${token}`, given, `ids from 0 to ${count - 1}, or -1 for none`, {
      phase: 'dispatch',
    });
  }

  #rowsOf(src: Uint16Array | Float32Array, firstRow: number): number {
    const { hidden } = this.#context.layout;
    if (this.#isOver || this.#isComplete) throw this.#wrongState('write', 'before the round is dispatched');
    if (!(src instanceof Uint16Array) && !(src instanceof Float32Array))
      throw new WeftError(
        'WEFT_DTYPE',
        `src must be rows in a Uint16Array (bf16) or a Float32Array, not ${typeName(src)}`,
        {
          phase: 'dispatch',
          details: { argument: 'src' },
        },
      );
    if (src.length % hidden !== 0)
      throw invalidArgument('src', `${src.length} elements`, `whole rows of ${hidden} elements`);
    const rows = src.length / hidden;
    if (!Number.isSafeInteger(firstRow) || firstRow < this.#published)
      throw invalidArgument(
        'firstRow',
        firstRow,
        `an integer of at least ${this.#published} (rows already published)`,
      );
    if (firstRow + rows > this.tokens)
      throw new WeftError(
        'WEFT_TOO_MANY_TOKENS',
        `src has ${rows} rows, which from row ${firstRow} on do not fit the ${this.tokens} tokens that were claimed`,
        { phase: 'dispatch', details: { argument: 'src', given: rows, allowed: this.tokens - firstRow } },
      );
    return rows;
  }

  #wrongType(call: string, wanted: string): WeftError {
    const { dtype } = this.#context.layout;
    return new WeftError(
      'WEFT_DTYPE',
      `${call}() needs layout.dispatch.dtype ${wanted}, but this mesh has ${dtype}; fill 'hidden'`,
      {
        phase: 'dispatch',
        details: { argument: 'layout.dispatch.dtype', given: dtype, allowed: wanted },
      },
    );
  }

  #wrongState(call: string, when: string): WeftError {
    return new WeftError('WEFT_STATE', `${call}() may be called ${when} (round ${this.generation})`, {
      phase: 'dispatch',
    });
  }
}

function typeName(value: unknown): string {
  return typeof value === 'object' && value !== null ? value.constructor.name : typeof value;
}
