import { deepEqual, equal } from 'node:assert/strict';
import type { AttentionRound, RankReply } from '../afd/attention-round.js';
import type { FfnBatch } from '../afd/ffn-batch.js';
import type { FfnPart } from '../afd/ffn-part.js';
import type { Gather } from '../afd/gather.js';
import type { Mesh } from '../mesh/mesh.js';
import type { Tensor } from '../tensor/tensor.js';
import { type Expectation, expectedResult, freeCode, freeRows } from './contents.js';
import { claimRound, sendRound } from './fill.js';
import { same } from './same.js';
import { type Facts, factsOf, noise, type Scenario } from './scenario.js';
import { checkPart, checkRows, checkSelections, replyRowsOf, type Server, writeOutput } from './serve.js';

export interface AttentionWork {
  /** The round to begin with. Default 1. */
  first?: number;
  /** Rounds in flight. Default 1. */
  inFlight?: number;
  /** Rows are published in blocks of so many. Default: all at once. */
  block?: number;
  /** Combines the oldest round first, the newest, or any. Default 'oldest'. */
  order?: 'oldest' | 'newest' | 'any';
  /** Replies that are not expected to count, with `onPeerLoss: 'skip'`. */
  without?: readonly number[];
  /** Uses the blocking forms. Default false. */
  blocking?: boolean;
  deadlineMs?: number;
  /** Compares results with what the workload expects. Default true. */
  check?: boolean;
  /** Sees every result. */
  onResult?: (generation: number, result: Tensor | RankReply[]) => void;
}

/** Lets other members of this process have their turn. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** The attention side of a scenario: dispatches its rounds and checks what comes back, byte for byte. */
export async function driveAttention(
  mesh: Mesh,
  scenario: Scenario,
  work: AttentionWork = {},
): Promise<void> {
  const facts = factsOf(scenario);
  const { inFlight = 1, order = 'oldest' } = work;
  const flying: AttentionRound[] = [];
  const land = (i: number): Promise<void> =>
    combineRound(mesh, scenario, facts, flying.splice(i, 1)[0]!, work);
  for (let generation = work.first ?? 1; generation <= scenario.rounds; generation++) {
    flying.push(await dispatchRound(mesh, facts, generation, work));
    const last = generation === scenario.rounds;
    if (flying.length < inFlight && !last) continue;
    if (order === 'oldest') await land(0);
    // A slot that is skipped over would be busy when its turn comes, so all of them are landed.
    while (flying.length > 0 && (order !== 'oldest' || last)) {
      const any = noise(facts.seed, 8, mesh.rank, generation, flying.length) % flying.length;
      await land({ oldest: 0, newest: flying.length - 1, any }[order]);
    }
  }
}

async function dispatchRound(
  mesh: Mesh,
  facts: Facts,
  generation: number,
  { block = facts.maxTokens, blocking }: AttentionWork,
): Promise<AttentionRound> {
  const slot = claimRound(mesh.attention, facts, mesh.rank, generation);
  equal(slot.generation, generation, 'rounds are numbered from 1');
  return sendRound(slot, facts, mesh.rank, block, blocking === true ? undefined : turn);
}

async function combineRound(
  mesh: Mesh,
  scenario: Scenario,
  facts: Facts,
  round: AttentionRound,
  { without, deadlineMs, blocking = false, check = true, onResult }: AttentionWork,
): Promise<void> {
  const { generation } = round;
  const options = { deadlineMs, ...(without && { onPeerLoss: 'skip' as const }) };
  if (facts.combine === 'none') {
    const replies = blocking ? round.repliesSync(options) : await round.replies(options);
    if (check) checkReplies(mesh, scenario, facts, generation, replies, without ?? []);
    onResult?.(generation, replies);
    return;
  }
  const result = blocking ? round.combineSync(options) : await round.combine(options);
  if (check) checkResult(mesh, scenario, generation, result, without === undefined ? {} : { without });
  onResult?.(generation, result);
}

/** Checks the combined result of a round. */
export function checkResult(
  mesh: Mesh,
  scenario: Scenario,
  generation: number,
  result: Tensor,
  expectation: Expectation = {},
): void {
  const facts = factsOf(scenario);
  const expected = expectedResult(facts, scenario.ffn, { rank: mesh.rank, generation }, expectation);
  deepEqual([...result.shape], [expected.length / facts.hidden, facts.hidden]);
  same(`the result of round ${generation} of attention ${mesh.rank}`, result.data, expected);
}

function checkReplies(
  { rank }: Mesh,
  { ffn }: Scenario,
  facts: Facts,
  generation: number,
  replies: readonly RankReply[],
  without: readonly number[],
): void {
  equal(replies.length, ffn);
  for (const [i, reply] of replies.entries()) {
    const rows = without.includes(i) ? 0 : freeRows(facts, rank, i, generation);
    equal(reply.rank, i);
    equal(reply.rows, rows, `rows of ffn ${i}'s reply to round ${generation} of attention ${rank}`);
    const codes = Array.from({ length: rows * facts.hidden }, (_, c) =>
      freeCode(facts, rank, i, generation, c),
    );
    const expected = facts.dtype === 'u8' ? Uint8Array.from(codes) : Uint16Array.from(codes);
    same(`ffn ${i}'s reply to round ${generation} of attention ${rank}`, reply.output, expected);
  }
}

export interface FfnWork {
  gather?: Gather;
  /** Takes rounds when they begin. Default false. */
  streamed?: boolean;
  /** Replies in blocks of so many rows. Default: all at once. */
  block?: number;
  onPeerLoss?: 'error' | 'skip';
  blocking?: boolean;
  deadlineMs?: number;
  onBatch?: (batch: FfnBatch) => void;
}

/** The FFN side: checks every part and replies, until all attention ranks have left. Returns the number of parts. */
export async function driveFfn(mesh: Mesh, scenario: Scenario, work: FfnWork = {}): Promise<number> {
  const { block, blocking = false, onBatch, ...options } = work;
  const server: Server = { facts: factsOf(scenario), ffn: scenario.ffn, rank: mesh.rank };
  let parts = 0;
  for (;;) {
    const batch = blocking ? mesh.ffn.nextSync(options) : await mesh.ffn.next(options);
    if (batch === undefined) return parts;
    onBatch?.(batch);
    for (const part of batch.parts) {
      await serve(server, part, block, work.blocking ? undefined : turn);
      parts++;
    }
  }
}

async function serve(
  server: Server,
  part: FfnPart,
  block: number | undefined,
  pause: (() => Promise<void>) | undefined,
): Promise<void> {
  checkPart(server, part);
  // A streamed part: rows are checked as they come, the last one as soon as it is there.
  for (let seen = 0; seen < part.rows; ) {
    const available = part.available;
    checkRows(server, part, seen, available);
    if (available === seen && seen < part.rows) await pause?.();
    seen = available;
  }
  if (server.facts.experts > 0) checkSelections(server, part);
  const rows = replyRowsOf(server, part);
  if (server.facts.combine === 'none' || block === undefined) {
    writeOutput(server, part, 0, rows);
    part.reply(...(server.facts.combine === 'none' ? [rows] : []));
    return;
  }
  for (let row = 0; row < rows; row += block) {
    const end = Math.min(rows, row + block);
    writeOutput(server, part, row, end);
    part.publish(end);
    await pause?.();
  }
  part.reply();
}
