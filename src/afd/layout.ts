import { invalidArgument } from '../errors.js';
import type { NativeConfig } from '../native.js';
import { SCALE_GROUP } from '../tensor/convert.js';
import { DTYPES, type DType, elementBytes, isDType } from '../tensor/dtype.js';

/** Row types of a dispatch. With 'u8' rows are opaque bytes, and only `combine: 'none'` makes sense. */
export type RowType = 'bf16' | 'fp8e4m3' | 'f32' | 'u8';

/** An extra array that rides with the rows: `width` elements for each. */
export interface Column {
  name: string;
  dtype: DType;
  width: number;
}

/** What all members of a mesh must agree on; joining fails, and lists the differing fields, when they do not. */
export interface ExchangeLayout {
  /** Elements of a row, 1 to 16,777,216. */
  hidden: number;
  /** Rows that a round can have at most, 1 to 1,048,575. Every call may have fewer, down to 0. */
  maxTokens: number;
  /** Rounds that one attention rank can have in flight, at least 2. Default 3. */
  depth?: number;
  dispatch?: {
    /** Default 'bf16'. */
    dtype?: RowType;
    /** 'all': every FFN rank gets every row. 'routed': the rows that its experts need. Default 'all'. */
    mode?: 'all' | 'routed';
    /** FP8 scales are powers of two (UE8M0). Default false. */
    powerOfTwoScales?: boolean;
  };
  experts?: {
    count: number;
    /** Experts a row chooses. */
    topK: number;
    /** FFN rank of each expert. Default: contiguous blocks, expert e on rank floor(e * N / count). */
    placement?: readonly number[];
  };
  /**
   * 'sum': each FFN rank replies one row per row it took, and the results are added over the ranks. 'weighted': each
   * replies one row per selection (row, k) of its experts, and the results are added with the rows' weights. 'none':
   * replies are handed over as they are. Default 'sum'.
   */
  combine?: 'sum' | 'weighted' | 'none';
  columns?: readonly Column[];
  /** Capacity of the user's metadata of a round, in bytes, at most 65,535. Default 256. */
  metaBytes?: number;
}

/** A layout with every default filled in. */
export interface ResolvedLayout {
  hidden: number;
  maxTokens: number;
  depth: number;
  dtype: RowType;
  mode: 'all' | 'routed';
  powerOfTwoScales: boolean;
  experts: { count: number; topK: number; placement: number[] | undefined } | undefined;
  combine: 'sum' | 'weighted' | 'none';
  columns: Column[];
  metaBytes: number;
}

const ROW_TYPES: readonly RowType[] = ['u8', 'bf16', 'fp8e4m3', 'f32']; // in the order of native RowType
const COMBINES = ['sum', 'weighted', 'none'] as const; // in the order of native CombineKind
const MAX_ROWS = 2 ** 20 - 1; // the state word has 20 bits for rows
const MAX_SLOT_BYTES = Math.floor((2 ** 32 - 1) / 2); // as native ExchangeConfig::check has it
const LAYOUT_KEYS = [
  'hidden',
  'maxTokens',
  'depth',
  'dispatch',
  'experts',
  'combine',
  'columns',
  'metaBytes',
];
const BUILT_IN = ['hidden', 'scales', 'experts', 'weights', 'meta'];

export function resolveLayout(layout: ExchangeLayout): ResolvedLayout {
  const { dispatch = {}, experts, columns = [], combine = 'sum' } = object('layout', layout);
  onlyKeys('layout', layout, LAYOUT_KEYS);
  onlyKeys('layout.dispatch', object('layout.dispatch', dispatch), ['dtype', 'mode', 'powerOfTwoScales']);
  if (!Array.isArray(columns)) throw invalidArgument('layout.columns', columns, 'a list of columns');
  const { powerOfTwoScales = false } = dispatch;
  if (typeof powerOfTwoScales !== 'boolean')
    throw invalidArgument('layout.dispatch.powerOfTwoScales', powerOfTwoScales, 'true or false');
  const mode = oneOf('layout.dispatch.mode', dispatch.mode ?? 'all', ['all', 'routed'] as const);
  const resolved: ResolvedLayout = {
    hidden: integer('layout.hidden', layout.hidden, 1, 1 << 24),
    maxTokens: integer('layout.maxTokens', layout.maxTokens, 1, MAX_ROWS),
    depth: integer('layout.depth', layout.depth ?? 3, 2, 1024),
    dtype: oneOf('layout.dispatch.dtype', dispatch.dtype ?? 'bf16', ROW_TYPES),
    mode,
    powerOfTwoScales,
    experts: experts === undefined ? undefined : resolveExperts(experts),
    combine: oneOf('layout.combine', combine, COMBINES),
    columns: columns.map(resolveColumn),
    metaBytes: integer('layout.metaBytes', layout.metaBytes ?? 256, 0, 65_535),
  };
  if (resolved.experts === undefined && (mode === 'routed' || combine === 'weighted'))
    throw invalidArgument(
      'layout.experts',
      undefined,
      "given with dispatch mode 'routed' or combine 'weighted'",
    );
  if (resolved.dtype === 'u8' && combine !== 'none')
    throw invalidArgument('layout.combine', combine, "'none' when rows are 'u8': bytes cannot be added");
  const names = resolved.columns.map((column) => column.name);
  const twice = names.find((name, i) => BUILT_IN.includes(name) || names.indexOf(name) !== i);
  if (twice !== undefined)
    throw invalidArgument('layout.columns', twice, `names of their own, none of ${BUILT_IN.join(', ')}`);
  checkSizes(resolved);
  return resolved;
}

/** The limits of a slot, which follow from several fields together. */
function checkSizes(layout: ResolvedLayout): void {
  const { maxTokens, experts, combine } = layout;
  const selections = maxTokens * (experts?.topK ?? 0);
  if (selections > MAX_ROWS)
    throw invalidArgument('layout.maxTokens * layout.experts.topK', selections, `at most ${MAX_ROWS}`);
  const bytes = (columns: readonly Column[]): number =>
    columns.reduce((sum, { dtype, width }) => sum + width * elementBytes(dtype), 0);
  const dispatched = maxTokens * bytes(dispatchColumns(layout));
  if (dispatched > MAX_SLOT_BYTES)
    throw invalidArgument(
      'layout.maxTokens',
      maxTokens,
      `such that a round is at most ${MAX_SLOT_BYTES} bytes`,
    );
  const reply = [{ name: 'output', dtype: replyType(layout), width: layout.hidden }];
  if ((combine === 'weighted' ? selections : maxTokens) * bytes(reply) > MAX_SLOT_BYTES)
    throw invalidArgument(
      'layout.maxTokens',
      maxTokens,
      `such that a reply is at most ${MAX_SLOT_BYTES} bytes`,
    );
}

/** What the native side needs, once the sizes of the mesh are known. */
export function nativeConfig(layout: ResolvedLayout, attention: number, ffn: number): NativeConfig {
  const placement = layout.experts === undefined ? [] : placementOf(layout.experts, ffn);
  return {
    attention,
    ffn,
    hidden: layout.hidden,
    maxTokens: layout.maxTokens,
    depth: layout.depth,
    rowType: ROW_TYPES.indexOf(layout.dtype),
    powerOfTwoScales: layout.powerOfTwoScales,
    routed: layout.mode === 'routed',
    combine: COMBINES.indexOf(layout.combine),
    experts: layout.experts?.count ?? 0,
    topK: layout.experts?.topK ?? 0,
    placement: Uint32Array.from(placement),
    metaBytes: layout.metaBytes,
    extraColumns: Uint32Array.from(layout.columns, (column) => column.width * elementBytes(column.dtype)),
  };
}

/** The columns of a dispatch in their order, the built-in ones first. */
export function dispatchColumns(layout: ResolvedLayout): Column[] {
  const columns: Column[] = [{ name: 'hidden', dtype: layout.dtype, width: layout.hidden }];
  if (layout.dtype === 'fp8e4m3')
    columns.push({ name: 'scales', dtype: 'f32', width: Math.ceil(layout.hidden / SCALE_GROUP) });
  if (layout.experts !== undefined) {
    columns.push({ name: 'experts', dtype: 'i32', width: layout.experts.topK });
    columns.push({ name: 'weights', dtype: 'f32', width: layout.experts.topK });
  }
  return [...columns, ...layout.columns];
}

/** Type of the rows that FFN ranks reply. */
export function replyType(layout: ResolvedLayout): DType {
  return layout.dtype === 'u8' ? 'u8' : 'bf16';
}

function placementOf(experts: NonNullable<ResolvedLayout['experts']>, ffn: number): number[] {
  const { count, placement } = experts;
  if (placement === undefined) return Array.from({ length: count }, (_, e) => Math.floor((e * ffn) / count));
  const outside = placement.find((rank) => rank >= ffn);
  if (outside !== undefined)
    throw invalidArgument('layout.experts.placement', outside, `ffn ranks of this mesh, 0 to ${ffn - 1}`);
  return placement;
}

function resolveExperts(experts: NonNullable<ExchangeLayout['experts']>): ResolvedLayout['experts'] {
  onlyKeys('layout.experts', object('layout.experts', experts), ['count', 'topK', 'placement']);
  const count = integer('layout.experts.count', experts.count, 1, 2 ** 20);
  const topK = integer('layout.experts.topK', experts.topK, 1, count);
  const { placement } = experts;
  if (placement !== undefined) {
    if (!Array.isArray(placement) || placement.length !== count)
      throw invalidArgument(
        'layout.experts.placement',
        placement,
        `a list of ${count} ffn ranks, one per expert`,
      );
    for (const rank of placement) integer('layout.experts.placement', rank, 0, 65_534);
  }
  return { count, topK, placement: placement === undefined ? undefined : [...placement] };
}

function resolveColumn(column: Column, i: number): Column {
  const { name, dtype, width } = object(`layout.columns[${i}]`, column);
  onlyKeys(`layout.columns[${i}]`, column, ['name', 'dtype', 'width']);
  if (typeof name !== 'string' || name === '')
    throw invalidArgument(`layout.columns[${i}].name`, name, 'a non-empty string');
  if (!isDType(dtype))
    throw invalidArgument(`layout.columns[${i}].dtype`, dtype, `one of ${DTYPES.join(', ')}`);
  return { name, dtype, width: integer(`layout.columns[${i}].width`, width, 1, 1 << 20) };
}

function object<T>(name: string, value: T): T {
  if (typeof value !== 'object' || value === null) throw invalidArgument(name, value, 'an object');
  return value;
}

/** A misspelled field must not be a default. */
function onlyKeys(name: string, value: object, keys: readonly string[]): void {
  const unknown = Object.keys(value).find((key) => !keys.includes(key));
  if (unknown !== undefined)
    throw invalidArgument(
      `${name}.${unknown}`,
      'a field',
      `absent: the fields of ${name} are ${keys.join(', ')}`,
    );
}

function integer(name: string, value: unknown, least: number, most: number): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < least || value > most)
    throw invalidArgument(name, value, `an integer, ${least} to ${most}`);
  return value;
}

function oneOf<T extends string>(name: string, value: unknown, allowed: readonly T[]): T {
  if (!allowed.includes(value as T)) throw invalidArgument(name, value, `one of '${allowed.join("', '")}'`);
  return value as T;
}
