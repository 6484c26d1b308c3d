import { invalidArgument } from '../errors.js';
import { checkPlacement, type Placement } from '../expert/placement.js';
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
    /**
     * Where each expert is: one rank, or several that share its rows (replicas), which take turns. A placement of
     * `linearPlacement()`, `eplbPlacement()` and so on serves too. Default: contiguous blocks, expert e on rank
     * floor(e * N / count).
     */
    placement?: readonly (number | readonly number[])[] | Placement;
    /**
     * Expert-parallel meshes: how the rows that a rank is sent lie in the places of `ExpertBatch`. 'compact': expert by
     * expert, each beginning at a multiple of `alignment` rows. 'padded': each expert has room for all that the ranks could
     * send, ranks * maxTokens rows; a token may not choose such an expert twice. Default 'compact'.
     */
    packing?: 'compact' | 'padded';
    /** Rows, 1 to 1,048,575. Default 1. */
    alignment?: number;
  };
  /**
   * In an expert-parallel mesh 'weighted' (the default there): exactly the sum over the choices of a row, in their order.
   * 'sum': each rank adds what its experts make of a row, with the weights, and sends that; fewer bytes, and roundings that
   * depend on the placement. 'none' is not for such meshes.
   *
   * 'sum': each FFN rank replies one row per row it took, and the results are added over the ranks. 'weighted': each
   * replies one row per selection (row, k) of its experts, and the results are added with the rows' weights. 'none':
   * replies are handed over as they are. Default 'sum'.
   */
  combine?: 'sum' | 'weighted' | 'none';
  columns?: readonly Column[];
  /** Capacity of the user's metadata of a round, in bytes, at most 65,535. Default 256. */
  metaBytes?: number;
}

export interface ResolvedExperts {
  count: number;
  topK: number;
  /** [count] the ranks of each expert, ascending. */
  placement: number[][] | undefined;
  packing: 'compact' | 'padded';
  alignment: number;
}

/** A layout with every default filled in. */
export interface ResolvedLayout {
  hidden: number;
  maxTokens: number;
  depth: number;
  dtype: RowType;
  mode: 'all' | 'routed';
  /** Of an expert-parallel mesh. */
  symmetric: boolean;
  powerOfTwoScales: boolean;
  experts: ResolvedExperts | undefined;
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

/** @param symmetric of an expert-parallel mesh */
export function resolveLayout(layout: ExchangeLayout, symmetric = false): ResolvedLayout {
  const { dispatch = {}, experts, columns = [] } = object('layout', layout);
  const { combine = symmetric ? 'weighted' : 'sum' } = layout;
  onlyKeys('layout', layout, LAYOUT_KEYS);
  onlyKeys('layout.dispatch', object('layout.dispatch', dispatch), ['dtype', 'mode', 'powerOfTwoScales']);
  if (!Array.isArray(columns)) throw invalidArgument('layout.columns', columns, 'a list of columns');
  const { powerOfTwoScales = false } = dispatch;
  if (typeof powerOfTwoScales !== 'boolean')
    throw invalidArgument('layout.dispatch.powerOfTwoScales', powerOfTwoScales, 'true or false');
  const mode = symmetric
    ? oneOf('layout.dispatch.mode', dispatch.mode ?? 'routed', ['routed'] as const)
    : oneOf('layout.dispatch.mode', dispatch.mode ?? 'all', ['all', 'routed'] as const);
  const resolved: ResolvedLayout = {
    hidden: integer('layout.hidden', layout.hidden, 1, 1 << 24),
    maxTokens: integer('layout.maxTokens', layout.maxTokens, 1, MAX_ROWS),
    depth: integer('layout.depth', layout.depth ?? 3, 2, 1024),
    dtype: oneOf('layout.dispatch.dtype', dispatch.dtype ?? 'bf16', ROW_TYPES),
    mode,
    symmetric,
    powerOfTwoScales,
    experts: experts === undefined ? undefined : resolveExperts(experts, symmetric),
    combine: oneOf('layout.combine', combine, symmetric ? (['sum', 'weighted'] as const) : COMBINES),
    columns: columns.map(resolveColumn),
    metaBytes: integer('layout.metaBytes', layout.metaBytes ?? 256, 0, 65_535),
  };
  if (resolved.experts === undefined && (mode === 'routed' || combine === 'weighted'))
    throw invalidArgument(
      'layout.experts',
      undefined,
      "given with dispatch mode 'routed' or combine 'weighted'",
    );
  if (resolved.dtype === 'u8' && combine !== 'none' && !symmetric)
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
    symmetric: layout.symmetric,
    combine: COMBINES.indexOf(layout.combine),
    experts: layout.experts?.count ?? 0,
    topK: layout.experts?.topK ?? 0,
    replicas: Uint32Array.from(placement, (ranks) => ranks.length),
    placement: Uint32Array.from(placement.flat()),
    expertAlignment: layout.experts?.alignment ?? 1,
    expertRows: layout.experts?.packing === 'padded' ? attention * layout.maxTokens : 0,
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
  return layout.dtype === 'u8' && layout.combine === 'none' ? 'u8' : 'bf16';
}

function placementOf(experts: ResolvedExperts, ranks: number): number[][] {
  const { count, placement } = experts;
  if (placement === undefined)
    return Array.from({ length: count }, (_, e) => [Math.floor((e * ranks) / count)]);
  const outside = placement.flat().find((rank) => rank >= ranks);
  if (outside !== undefined)
    throw invalidArgument('layout.experts.placement', outside, `ranks of this mesh, 0 to ${ranks - 1}`);
  return placement;
}

function resolveExperts(
  experts: NonNullable<ExchangeLayout['experts']>,
  symmetric: boolean,
): ResolvedExperts {
  const keys = ['count', 'topK', 'placement', ...(symmetric ? ['packing', 'alignment'] : [])];
  onlyKeys('layout.experts', object('layout.experts', experts), keys);
  const count = integer('layout.experts.count', experts.count, 1, 2 ** 20);
  const topK = integer('layout.experts.topK', experts.topK, 1, count);
  const { placement, packing = 'compact' } = experts;
  const alignment = integer('layout.experts.alignment', experts.alignment ?? 1, 1, MAX_ROWS);
  if (packing === 'padded' && alignment !== 1)
    throw invalidArgument('layout.experts.alignment', alignment, "absent with packing 'padded'");
  return {
    count,
    topK,
    placement: placement === undefined ? undefined : resolvePlacement(placement, count),
    packing: oneOf('layout.experts.packing', packing, ['compact', 'padded'] as const),
    alignment,
  };
}

const MAX_REPLICAS = 2048; // 11 bits of a choice

/** The ranks of each expert; several replicas on one rank are one. */
function resolvePlacement(
  placement: NonNullable<NonNullable<ExchangeLayout['experts']>['placement']>,
  count: number,
): number[][] {
  const name = 'layout.experts.placement';
  if (isRankList(placement)) {
    if (placement.length !== count)
      throw invalidArgument(name, placement, `a list of ${count}, the rank or the ranks of each expert`);
    return placement.map((ranks) => {
      const of = typeof ranks === 'object' ? ranks : [ranks];
      if (!Array.isArray(of) || of.length === 0)
        throw invalidArgument(name, ranks, 'for each expert a rank, or a list of at least one');
      return replicasOf(of.map((rank) => integer(name, rank, 0, 65_534)));
    });
  }
  if (typeof placement !== 'object' || placement === null)
    throw invalidArgument(name, placement, `a list of ${count} ranks, or a placement`);
  checkPlacement(placement, name);
  if (placement.experts !== count)
    throw invalidArgument(`${name}.experts`, placement.experts, `${count}, as layout.experts.count says`);
  const ranks = Array.from({ length: count }, (): number[] => []);
  placement.slots.forEach((slots, rank) => {
    for (const expert of slots) ranks[expert]!.push(rank);
  });
  return ranks.map(replicasOf);
}

function isRankList(placement: unknown): placement is readonly (number | readonly number[])[] {
  return Array.isArray(placement);
}

function replicasOf(ranks: number[]): number[] {
  const distinct = [...new Set(ranks)].sort((a, b) => a - b);
  if (distinct.length > MAX_REPLICAS)
    throw invalidArgument(
      'layout.experts.placement',
      distinct,
      `at most ${MAX_REPLICAS} ranks for an expert`,
    );
  return distinct;
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
