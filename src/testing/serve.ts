import { deepEqual, equal } from 'node:assert/strict';
import type { FfnPart } from '../afd/ffn-part.js';
import type { TypedArray } from '../tensor/dtype.js';
import { columnRow, expertRow, freeCode, freeRows, takersOf, wireRow } from './contents.js';
import { same } from './same.js';
import { expertsOf, type Facts, metaOf, type RowPlace, tagOf, tokensOf, weightOf } from './scenario.js';

/** The ffn rank that serves, and its mesh's size. */
export interface Server {
  facts: Facts;
  ffn: number;
  rank: number;
}

/** Checks what a part says about its round and which rows it takes; not their contents. */
export function checkPart({ facts, ffn, rank }: Server, part: FfnPart): void {
  const place = { rank: part.rank, generation: part.generation };
  const what = `round ${part.generation} of attention ${part.rank} at ffn ${rank}`;
  const tokens = tokensOf(facts, place);
  const rows = Array.from({ length: tokens }, (_, token) => token);
  const taken = rows.filter((token) => takersOf(facts, ffn, { ...place, token }).includes(rank));
  equal(part.tokens, tokens, `${what}: tokens`);
  equal(part.tag, tagOf(facts, place), `${what}: tag`);
  same(`${what}: meta`, part.meta, metaOf(facts, place));
  equal(part.rows, taken.length, `${what}: rows`);
  deepEqual([...part.tokenOf], taken, `${what}: tokenOf`);
  equal(part.rowOf.length, taken.length, `${what}: rowOf`);
}

/** Checks the contents of taken rows [from, to): every column. */
export function checkRows({ facts, rank }: Server, part: FfnPart, from: number, to: number): void {
  for (let i = from; i < to; i++) {
    const place: RowPlace = { rank: part.rank, generation: part.generation, token: part.tokenOf[i]! };
    const what = `round ${part.generation} of attention ${part.rank} at ffn ${rank}, token ${place.token}`;
    const check = (name: string, array: TypedArray, expected: TypedArray): void => {
      const row = part.rowOf[i]!;
      const at = row * expected.length;
      same(`${what}: ${name}`, array.subarray(at, at + expected.length), expected);
    };
    const { hidden, scales } = wireRow(facts, place);
    check('hidden', part.hidden, hidden);
    if (scales !== undefined) check('scales', part.scales, scales);
    if (facts.experts > 0) {
      const experts = expertsOf(facts, place);
      check('experts', part.experts, Int32Array.from(experts));
      check(
        'weights',
        part.weights,
        Float32Array.from(experts, (_, k) => weightOf(facts, place, k)),
      );
    }
    for (const [column, { name }] of facts.columns.entries())
      check(name, part.column(name), columnRow(facts, column, place));
  }
}

/** Checks the selections, which need all rows. */
export function checkSelections({ facts, rank }: Server, part: FfnPart): void {
  const row: number[] = [];
  const expert: number[] = [];
  const k: number[] = [];
  for (const [i, token] of part.tokenOf.entries()) {
    const ids = expertsOf(facts, { rank: part.rank, generation: part.generation, token });
    for (const [slot, id] of ids.entries()) {
      if (id < 0 || facts.placement[id] !== rank) continue;
      row.push(part.rowOf[i]!);
      expert.push(id);
      k.push(slot);
    }
  }
  const { count, ...selections } = part.selections;
  const actual = Object.entries(selections).map(([name, array]) => [name, [...(array as TypedArray)]]);
  equal(count, row.length, 'the number of selections');
  deepEqual(Object.fromEntries(actual), { row, expert, k });
}

/** Writes output rows [from, to): taken rows for combine 'sum', selections for 'weighted', free ones for 'none'. */
export function writeOutput({ facts, rank }: Server, part: FfnPart, from: number, to: number): void {
  const { hidden } = facts;
  const { generation } = part;
  const rowAt = (token: number): Float32Array =>
    wireRow(facts, { rank: part.rank, generation, token }).values;
  const selections = facts.combine === 'weighted' ? part.selections : undefined;
  // In a mirror rows are packed, so views are searched for the token that a row is of.
  const tokenAt = new Map([...part.rowOf].map((row, i) => [row, part.tokenOf[i]!]));
  for (let i = from; i < to; i++) {
    const out = part.output.subarray(i * hidden, (i + 1) * hidden);
    if (facts.combine === 'sum') out.set(expertRow(rowAt(part.tokenOf[i]!), rank, generation));
    else if (selections !== undefined)
      out.set(expertRow(rowAt(tokenAt.get(selections.row[i]!)!), selections.expert[i]!, generation));
    else for (const c of out.keys()) out[c] = freeCode(facts, part.rank, rank, generation, i * hidden + c);
  }
}

/** Rows that the reply to a part must have. */
export function replyRowsOf({ facts, rank }: Server, part: FfnPart): number {
  return facts.combine === 'none' ? freeRows(facts, part.rank, rank, part.generation) : part.replyRows;
}
