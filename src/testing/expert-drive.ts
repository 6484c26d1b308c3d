import { deepEqual, equal } from 'node:assert/strict';
import type { AttentionRound } from '../afd/attention-round.js';
import type { OnPeerLoss } from '../afd/loss.js';
import type { ExpertBatch } from '../expert/batch.js';
import type { Mesh } from '../mesh/mesh.js';
import type { TypedArray } from '../tensor/dtype.js';
import { columnRow, wireRow } from './contents.js';
import {
  dueRows,
  type ExpertFacts,
  type ExpertLoss,
  type ExpertScenario,
  expertFactsOf,
  expertResult,
  outputOf,
  rankSum,
} from './expert-scenario.js';
import { claimRound, sendRound } from './fill.js';
import { same } from './same.js';
import { metaOf, noise, tagOf, tokensOf } from './scenario.js';

export interface ExpertWork {
  /** The round to begin with, default 1, and the last one, default the scenario's. */
  first?: number;
  rounds?: number;
  /** Rounds in flight. Default 1. */
  inFlight?: number;
  /** Rows are published in blocks of so many. Default: all at once. */
  block?: number;
  /** Collects rounds as they begin, and serves each expert's block as soon as it is complete. Default false. */
  blocks?: boolean;
  /** Replies expert by expert (combine 'weighted'). Default false. */
  byExpert?: boolean;
  /** Replies for the first so many experts only, and leaves it at that. */
  only?: number;
  /** Adds up its experts' outputs itself (combine 'sum'). Default false. */
  sums?: boolean;
  blocking?: boolean;
  onPeerLoss?: OnPeerLoss;
  /** What is expected of results. */
  loss?: ExpertLoss;
  deadlineMs?: number;
  onResult?: (generation: number, bytes: Uint8Array) => void;
}

/** One rank of a scenario: dispatches, serves and combines its rounds, and checks every byte on all sides. */
export async function driveExperts(
  mesh: Mesh,
  scenario: ExpertScenario,
  work: ExpertWork = {},
): Promise<void> {
  const facts = expertFactsOf(scenario);
  const { first = 1, rounds = scenario.rounds, inFlight = 1 } = work;
  const flying: AttentionRound[] = [];
  let served = first - 1;
  for (let generation = first; generation <= rounds; generation++) {
    flying.push(await dispatchExperts(mesh, facts, generation, work));
    // Ranks are at different places of their rounds: some serve before they dispatch again, some after.
    const eager = noise(facts.seed, 9, mesh.rank, generation, 0) % 2 === 0;
    while (served < generation && (eager || flying.length === inFlight || generation === rounds))
      await serveExperts(mesh, facts, ++served, work);
    while (flying.length === inFlight || (generation === rounds && flying.length > 0))
      await combineExperts(mesh, facts, flying.shift()!, work);
  }
}

export async function dispatchExperts(
  mesh: Mesh,
  facts: ExpertFacts,
  generation: number,
  { block = facts.maxTokens, onPeerLoss }: ExpertWork = {},
): Promise<AttentionRound> {
  const slot = claimRound(mesh.ep, facts, mesh.rank, generation, onPeerLoss);
  equal(slot.generation, generation, 'rounds are numbered from 1');
  return sendRound(slot, facts, mesh.rank, block);
}

export async function serveExperts(
  mesh: Mesh,
  facts: ExpertFacts,
  generation: number,
  work: ExpertWork = {},
): Promise<void> {
  const { blocking = false, blocks = false, deadlineMs, onPeerLoss } = work;
  const options = {
    streamed: blocks,
    ...(deadlineMs !== undefined && { deadlineMs }),
    ...(onPeerLoss !== undefined && onPeerLoss !== 'error' && { onPeerLoss: 'skip' as const }),
  };
  const batch = blocking ? mesh.ep.nextSync(options) : await mesh.ep.next(options);
  equal(batch.generation, generation);
  if (blocks) await answerBlocks(mesh, facts, batch, work);
  else answerExperts(mesh, facts, batch, work);
}

/** Checks a batch block by block, and replies to it. */
async function answerBlocks(
  mesh: Mesh,
  facts: ExpertFacts,
  batch: ExpertBatch,
  { blocking = false, loss }: ExpertWork,
): Promise<void> {
  const places = checkBatch(mesh, facts, batch, loss);
  const weighted = mesh.layout.combine === 'weighted';
  const next = async () => (blocking ? batch.nextBlockSync() : await batch.nextBlock());
  const seen: number[] = [];
  for (let block = await next(); block !== undefined; block = await next()) {
    seen.push(block.index);
    equal(block.expert, batch.experts[block.index]);
    equal(block.begin, batch.begins[block.index]);
    const hidden = block.expand();
    for (let i = 0; i < block.rows; i++) {
      const row = places.get(block.begin + i)!;
      const copied = hidden.subarray(i * facts.hidden, (i + 1) * facts.hidden);
      same(`row ${i} of the block of expert ${block.expert}`, copied, wireRow(facts, row).hidden);
      block.output.set(outputOf(facts, row), i * facts.hidden);
    }
    if (weighted) block.publish();
  }
  const all = [...batch.counts.keys()].filter((e) => batch.counts[e]! > 0);
  deepEqual(
    seen.sort((a, b) => a - b),
    all,
    'each expert with rows has one block',
  );
  if (batch.isOpen) checkRows(facts, batch, places, `round ${batch.generation}`);
  batch.reply();
  equal(batch.isOpen, false);
}

/** Checks a batch and replies to it. */
export function answerExperts(
  mesh: Mesh,
  facts: ExpertFacts,
  batch: ExpertBatch,
  work: ExpertWork = {},
): void {
  const places = checkBatch(mesh, facts, batch, work.loss);
  checkRows(facts, batch, places, `round ${batch.generation} at rank ${mesh.rank}`);
  if (work.sums === true) {
    answerSums(facts, batch, mesh.rank);
    return;
  }
  for (const [place, row] of places) batch.output.set(outputOf(facts, row), place * facts.hidden);
  if (work.only !== undefined) {
    batch.publish(work.only);
    return;
  }
  if (work.byExpert === true)
    for (let experts = 0; experts <= batch.experts.length; experts++) batch.publish(experts);
  batch.reply();
  equal(batch.isOpen, false);
}

/** What a batch has against a search of all choices. Returns the place of every row. */
function checkBatch(
  mesh: Mesh,
  facts: ExpertFacts,
  batch: ExpertBatch,
  loss: ExpertLoss | undefined,
): Map<number, ReturnType<typeof dueRows>[number]> {
  const { generation } = batch;
  const what = `round ${generation} at rank ${mesh.rank}`;
  const here = batch.parts.map((part) => part.rank);
  const due = dueRows(facts, mesh.rank, generation, loss).filter((row) => here.includes(row.rank));
  const own = facts.replicas.flatMap((on, expert) => (on.includes(mesh.rank) ? [expert] : []));
  deepEqual([...batch.experts], own, `${what}: experts`);
  const places = new Map<number, (typeof due)[number]>();
  let next = 0;
  for (const [e, expert] of own.entries()) {
    const rows = due.filter((row) => row.expert === expert);
    equal(batch.counts[e], rows.length, `${what}: rows of expert ${expert}`);
    if (facts.padded) next = e * facts.ranks * facts.maxTokens;
    else if (rows.length > 0) next = Math.ceil(next / facts.alignment) * facts.alignment;
    if (rows.length > 0 || facts.padded) equal(batch.begins[e], next, `${what}: begin of expert ${expert}`);
    for (const row of rows) places.set(next++, row);
    for (let source = 0; source < facts.ranks; source++)
      equal(
        batch.sourceCounts[e * facts.ranks + source],
        rows.filter((row) => row.rank === source).length,
        `${what}: rows of expert ${expert} from rank ${source}`,
      );
  }
  equal(batch.places, Math.max(0, ...[...places.keys()].map((place) => place + 1)), `${what}: places`);
  for (const part of batch.parts) {
    const from = { rank: part.rank, generation };
    equal(part.tokens, tokensOf(facts, from), `${what}: tokens of rank ${part.rank}`);
    equal(part.tag, tagOf(facts, from));
    same(`${what}: metadata of rank ${part.rank}`, part.meta, metaOf(facts, from));
  }
  return places;
}

function checkRows(
  facts: ExpertFacts,
  batch: ExpertBatch,
  places: Map<number, ReturnType<typeof dueRows>[number]>,
  what: string,
): void {
  const expanded = new Map<string, TypedArray>(
    [
      'hidden',
      ...(facts.dtype === 'fp8e4m3' ? ['scales'] : []),
      ...facts.columns.map(({ name }) => name),
    ].map((name) => [name, batch.expand(name)]),
  );
  for (const [place, row] of places) {
    const at = `${what}: token ${row.token} of rank ${row.rank}, expert ${row.expert}`;
    deepEqual([batch.source[place], batch.token[place], batch.k[place]], [row.rank, row.token, row.k], at);
    const part = batch.parts.find(({ rank }) => rank === row.rank)!;
    const { hidden, scales } = wireRow(facts, row);
    const columns: [string, TypedArray][] = [
      ['hidden', hidden],
      ...(scales === undefined ? [] : ([['scales', scales]] as [string, TypedArray][])),
      ...facts.columns.map(({ name }, c): [string, TypedArray] => [name, columnRow(facts, c, row)]),
    ];
    for (const [name, expected] of columns) {
      const inPlace = batch.row[place]! * expected.length;
      same(
        `${at}: ${name} in place`,
        part.column(name).subarray(inPlace, inPlace + expected.length),
        expected,
      );
      const copied = expanded.get(name)!.subarray(place * expected.length, (place + 1) * expected.length);
      same(`${at}: ${name} expanded`, copied, expected);
    }
  }
}

/** A row for each that was sent, by source and token, added up here. */
function answerSums(facts: ExpertFacts, batch: ExpertBatch, rank: number): void {
  const gathered = batch.gather();
  let row = 0;
  for (const part of batch.parts)
    for (const token of part.tokenOf) {
      const place = { rank: part.rank, generation: batch.generation, token };
      const { hidden } = wireRow(facts, place);
      same('a gathered row', gathered.subarray(row * facts.hidden, (row + 1) * facts.hidden), hidden);
      batch.sums.set(rankSum(facts, place, rank), row++ * facts.hidden);
    }
  equal(row, batch.rows);
  batch.replySums();
}

async function combineExperts(
  mesh: Mesh,
  facts: ExpertFacts,
  round: AttentionRound,
  { blocking = false, deadlineMs, loss, onResult }: ExpertWork,
): Promise<void> {
  const options = deadlineMs === undefined ? {} : { deadlineMs };
  const result = blocking ? round.combineSync(options) : await round.combine(options);
  checkExpertResult(mesh, facts, round.generation, result.data, loss);
  const { buffer, byteOffset, byteLength } = result.data;
  onResult?.(round.generation, new Uint8Array(buffer, byteOffset, byteLength).slice());
}

export function checkExpertResult(
  mesh: Mesh,
  facts: ExpertFacts,
  generation: number,
  result: TypedArray,
  loss?: ExpertLoss,
): void {
  const expected = expertResult(facts, { rank: mesh.rank, generation }, loss);
  same(`the result of round ${generation} of rank ${mesh.rank}`, result, expected);
}
