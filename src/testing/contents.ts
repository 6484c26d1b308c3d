import { type DType, type TypedArray, viewOf } from '../tensor/dtype.js';
import {
  bf16OfAll,
  combineRows,
  dequantizeRow,
  quantizeRow,
  type Summand,
  valuesOfBf16,
} from './numerics.js';
import { expertsOf, type Facts, noise, type RowPlace, tokensOf, weightOf } from './scenario.js';

/** Channel values of a row before they are converted: in (-8, 8), different for every rank, round, row and channel. */
export function sourceRow(facts: Facts, { rank, generation, token }: RowPlace): Float32Array {
  const row = new Float32Array(facts.hidden);
  for (let c = 0; c < row.length; c++) {
    row[c] = (noise(facts.seed, 100 + rank, generation, token, c) / 2 ** 32 - 0.5) * 16;
  }
  return row;
}

/** A row as it travels. */
export interface WireRow {
  hidden: TypedArray;
  scales?: Float32Array;
  /** What it stands for. */
  values: Float32Array;
}

export function wireRow(facts: Facts, place: RowPlace): WireRow {
  const source = sourceRow(facts, place);
  switch (facts.dtype) {
    case 'bf16': {
      const hidden = bf16OfAll(source);
      return { hidden, values: valuesOfBf16(hidden) };
    }
    case 'fp8e4m3': {
      const row = quantizeRow(source, facts.powerOfTwo);
      return { hidden: row.codes, scales: row.scales, values: dequantizeRow(row) };
    }
    case 'u8':
      return { hidden: Uint8Array.from(source, (x) => Math.abs(x) * 31), values: source };
    default:
      return { hidden: source, values: source };
  }
}

/** A row of an extra column: any bits but, for floats, those of numbers only. */
export function columnRow(facts: Facts, column: number, place: RowPlace): TypedArray {
  const { dtype, width } = facts.columns[column]!;
  const { rank, generation, token } = place;
  const row = viewOf(dtype, new ArrayBuffer(width * 4), 0, width);
  for (let i = 0; i < width; i++) {
    const bits = noise(facts.seed, 200 + rank * 8 + column, generation, token, i);
    row[i] = dtype === 'f32' ? bits / 1024 : bits;
  }
  return row;
}

/** What expert (or ffn rank) `who` makes of a row. */
export function expertRow(values: Float32Array, who: number, generation: number): Uint16Array {
  const n = values.length;
  const out = new Float32Array(n);
  for (let c = 0; c < n; c++) {
    const shift = (((c * 31 + who * 17 + generation) % 13) - 6) / 16;
    out[c] = values[(c + who) % n]! * (1 + (who % 8) / 8) + shift;
  }
  return bf16OfAll(out);
}

/** Rows of a free reply (combine 'none'), and what is in them. */
export function freeRows(facts: Facts, rank: number, ffn: number, generation: number): number {
  return noise(facts.seed, 6, rank, ffn, generation) % (facts.maxTokens + 1);
}

export function freeCode(facts: Facts, rank: number, ffn: number, generation: number, i: number): number {
  return noise(facts.seed, 7 + rank, ffn, generation, i) & (facts.dtype === 'u8' ? 0xff : 0xffff);
}

/** FFN ranks that take a row, ascending. */
export function takersOf(facts: Facts, ffn: number, place: RowPlace): number[] {
  const all = Array.from({ length: ffn }, (_, rank) => rank);
  if (!facts.routed) return all;
  const chosen = expertsOf(facts, place).filter((expert) => expert >= 0);
  return all.filter((rank) => chosen.some((expert) => facts.placement[expert] === rank));
}

export interface Expectation {
  /** FFN ranks whose replies do not count. */
  without?: readonly number[];
  dtype?: DType & ('bf16' | 'f32');
}

/** The combined result of a round: [tokens, hidden]. */
export function expectedResult(
  facts: Facts,
  ffn: number,
  place: { rank: number; generation: number },
  { without = [], dtype = 'bf16' }: Expectation = {},
): Uint16Array | Float32Array {
  const { hidden } = facts;
  const tokens = tokensOf(facts, place);
  const out = dtype === 'f32' ? new Float32Array(tokens * hidden) : new Uint16Array(tokens * hidden);
  for (let token = 0; token < tokens; token++) {
    const row = combineRows(summandsOf(facts, ffn, { ...place, token }, without), hidden);
    out.set(dtype === 'f32' ? row : bf16OfAll(row), token * hidden);
  }
  return out;
}

function summandsOf(facts: Facts, ffn: number, place: RowPlace, without: readonly number[]): Summand[] {
  const { values } = wireRow(facts, place);
  if (facts.combine === 'sum') {
    const ranks = takersOf(facts, ffn, place).filter((rank) => !without.includes(rank));
    return ranks.map((rank) => ({ row: expertRow(values, rank, place.generation) }));
  }
  return expertsOf(facts, place).flatMap((expert, k) =>
    expert < 0 || without.includes(facts.placement[expert]!)
      ? []
      : [{ row: expertRow(values, expert, place.generation), weight: weightOf(facts, place, k) }],
  );
}
