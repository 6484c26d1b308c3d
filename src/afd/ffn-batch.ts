import { WeftError } from '../errors.js';
import { native } from '../native.js';
import type { TypedArray } from '../tensor/dtype.js';
import { columnCopy, wantArray } from './column-copy.js';
import type { ExchangeContext } from './context.js';
import type { FfnPart } from './ffn-part.js';
import { replyType } from './layout.js';

/** Rounds of several attention ranks that were ready together, one part for each. */
export class FfnBatch {
  readonly #context: ExchangeContext;
  readonly parts: readonly FfnPart[];

  /** @internal */
  constructor(context: ExchangeContext, parts: readonly FfnPart[]) {
    this.#context = context;
    this.parts = parts;
  }

  /** Taken rows of all parts. */
  get rows(): number {
    return this.parts.reduce((sum, part) => sum + part.rows, 0);
  }

  /**
   * The taken rows of all parts as one contiguous array, part by part: a copy, for kernels that want one block.
   * @param name a column; default 'hidden'
   * @param into [at least `rows`, width], of the column's type; default a new array
   */
  contiguous(name = 'hidden', into?: TypedArray): TypedArray {
    this.#wantOpen('collect', 'contiguous');
    const { out, rowBytes } = columnCopy(this.#context.layout, name, into, this.rows);
    let row = 0;
    for (const part of this.parts) {
      native.gather(bytes(part.column(name)), part.rowOf, rowBytes, bytes(out), row);
      row += part.rows;
    }
    return out;
  }

  /**
   * Replies to all parts from one contiguous array in the order of `contiguous()`: a copy.
   * @param outputs [sum of the parts' replyRows, hidden] of the reply's type
   */
  replyFrom(outputs: TypedArray): void {
    this.#wantOpen('reply', 'replyFrom');
    const { layout } = this.#context;
    const rows = this.parts.reduce((sum, part) => sum + part.replyRows, 0);
    wantArray('outputs', outputs, replyType(layout), rows * layout.hidden, 'reply');
    let row = 0;
    for (const part of this.parts) {
      const end = row + part.replyRows;
      part.output.set(outputs.subarray(row * layout.hidden, end * layout.hidden));
      row = end;
    }
    this.reply();
  }

  /** What was replied is the attention rank's, and what has not come yet is not there. */
  #wantOpen(phase: 'collect' | 'reply', call: string): void {
    if (this.parts.every((part) => part.isOpen && part.available === part.rows)) return;
    throw new WeftError(
      'WEFT_STATE',
      `${call}() may be used while all rows of all parts are there and none was replied to`,
      { phase },
    );
  }

  /** Replies to every part that was not replied to yet. */
  reply(): void {
    for (const part of this.parts) if (part.isOpen) part.reply();
  }
}

function bytes(array: TypedArray): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
