import { invalidArgument } from '../errors.js';
import type { NativePublicationLayout } from '../native.js';
import { type TypedArray, viewOf } from '../tensor/dtype.js';
import type { Column } from './layout.js';

/** The views of one slot of a publication; made once, when the mesh is connected, and used for every round. */
export class SlotViews {
  readonly meta: Uint8Array;
  readonly #columns: Map<string, TypedArray>;

  constructor(
    buffer: ArrayBuffer,
    base: number,
    layout: NativePublicationLayout,
    slot: number,
    columns: readonly Column[],
    metaBytes: number,
  ) {
    this.meta = new Uint8Array(buffer, base + layout.meta[slot]!, metaBytes);
    this.#columns = new Map(
      columns.map(({ name, dtype, width }, c) => [
        name,
        viewOf(dtype, buffer, base + layout.columns[slot]![c]!, width * layout.maxRows),
      ]),
    );
  }

  /** The array of a column, [maxRows * width]. */
  column(name: string): TypedArray {
    const view = this.#columns.get(name);
    if (view !== undefined) return view;
    const names = [...this.#columns.keys()].join(', ');
    throw invalidArgument('name', name, `a column of this mesh's rows: ${names}`);
  }
}
