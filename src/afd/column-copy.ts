import { invalidArgument, type Phase, WeftError } from '../errors.js';
import { arrayName, type DType, elementBytes, holds, type TypedArray, viewOf } from '../tensor/dtype.js';
import { dispatchColumns, type ResolvedLayout } from './layout.js';

/** Where a copy of rows of a column goes. */
export interface ColumnCopy {
  /** At least [rows, width], of the column's type. */
  readonly out: TypedArray;
  /** The column's number. */
  readonly column: number;
  readonly rowBytes: number;
}

/** Checks what the caller gave, and makes a new array where that is nothing. */
export function columnCopy(
  layout: ResolvedLayout,
  name: string,
  into: TypedArray | undefined,
  rows: number,
): ColumnCopy {
  const columns = dispatchColumns(layout);
  const column = columns.findIndex((candidate) => candidate.name === name);
  if (column < 0)
    throw invalidArgument('name', name, `one of ${columns.map((each) => each.name).join(', ')}`);
  const { dtype, width } = columns[column]!;
  const rowBytes = width * elementBytes(dtype);
  const out = into === undefined ? viewOf(dtype, new ArrayBuffer(rows * rowBytes), 0, rows * width) : into;
  wantArray('into', out, dtype, rows * width, 'collect');
  return { out, column, rowBytes };
}

export function wantArray(name: string, array: unknown, dtype: DType, elements: number, phase: Phase): void {
  if (!holds(array, dtype))
    throw new WeftError('WEFT_DTYPE', `${name} must be a ${arrayName(dtype)}, which holds ${dtype}`, {
      phase,
      details: { argument: name, allowed: arrayName(dtype) },
    });
  const { length } = array as TypedArray;
  if (length < elements)
    throw invalidArgument(name, `${length} elements`, `at least ${elements} elements long`, { phase });
}
