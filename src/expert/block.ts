import type { TypedArray } from '../tensor/dtype.js';

/** What a block needs of its batch. @internal */
export interface BlockHost {
  readonly experts: Int32Array;
  readonly counts: Uint32Array;
  readonly begins: Uint32Array;
  expandBlock(index: number, name: string, into: TypedArray | undefined): TypedArray;
  outputOf(index: number): Uint16Array;
  publishBlock(index: number): void;
}

/**
 * The rows of one expert of this rank in a round, all of which are there: places [begin, begin + rows) of the batch. Its
 * arrays are valid until the batch's `reply()`.
 */
export class ExpertBlock {
  readonly #host: BlockHost;
  /** The expert's number among `batch.experts`. */
  readonly index: number;

  /** @internal */
  constructor(host: BlockHost, index: number) {
    this.#host = host;
    this.index = index;
  }

  /** The expert's id. */
  get expert(): number {
    return this.#host.experts[this.index]!;
  }
  /** Its first place in the batch's arrays. */
  get begin(): number {
    return this.#host.begins[this.index]!;
  }
  get rows(): number {
    return this.#host.counts[this.index]!;
  }

  /**
   * Rows of a column, one behind the other: a copy.
   * @param name a column; default 'hidden'
   * @param into [at least `rows`, width], of the column's type; default a new array
   */
  expand(name = 'hidden', into?: TypedArray): TypedArray {
    return this.#host.expandBlock(this.index, name, into);
  }

  /** [rows, hidden] of bf16, the block's part of `batch.output`: write the outputs of the expert here. */
  get output(): Uint16Array {
    return this.#host.outputOf(this.index);
  }

  /**
   * Combine 'weighted' only: `output` is final. It may be combined when the blocks of all experts before it are final, too;
   * the last one ends the batch, as `batch.reply()` does.
   */
  publish(): void {
    this.#host.publishBlock(this.index);
  }
}
