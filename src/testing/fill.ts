import type { AttentionSide } from '../afd/attention.js';
import type { AttentionRound } from '../afd/attention-round.js';
import type { AttentionSlot } from '../afd/attention-slot.js';
import type { OnPeerLoss } from '../afd/loss.js';
import { columnRow, sourceRow, wireRow } from './contents.js';
import { expertsOf, type Facts, metaOf, type RowPlace, tagOf, tokensOf, weightOf } from './scenario.js';

/** Claims the next round and fills what must be complete before it begins: metadata, experts and weights. */
export function claimRound(
  side: Pick<AttentionSide, 'claim'>,
  facts: Facts,
  rank: number,
  generation: number,
  onPeerLoss?: OnPeerLoss,
): AttentionSlot {
  const place = { rank, generation };
  const slot = side.claim({
    tokens: tokensOf(facts, place),
    tag: tagOf(facts, place),
    meta: metaOf(facts, place),
    ...(onPeerLoss !== undefined && { onPeerLoss }),
  });
  if (facts.experts === 0) return slot;
  for (let token = 0; token < slot.tokens; token++) {
    const experts = expertsOf(facts, { ...place, token });
    slot.experts.set(experts, token * facts.topK);
    for (const k of experts.keys())
      slot.weights[token * facts.topK + k] = weightOf(facts, { ...place, token }, k);
  }
  return slot;
}

/** Fills and sends a claimed round: whole, or published every `block` rows with a pause after each. */
export async function sendRound(
  slot: AttentionSlot,
  facts: Facts,
  rank: number,
  block: number,
  pause?: () => Promise<void>,
): Promise<AttentionRound> {
  if (block >= slot.tokens) {
    fillRows(slot, facts, rank, 0, slot.tokens);
    return slot.dispatch();
  }
  const round = slot.begin();
  for (let row = 0; row < slot.tokens; row += block) {
    const end = Math.min(slot.tokens, row + block);
    fillRows(slot, facts, rank, row, end);
    slot.publish(end);
    if (pause !== undefined) await pause();
  }
  return round;
}

/** Fills rows [from, to) and their extra columns. */
export function fillRows(slot: AttentionSlot, facts: Facts, rank: number, from: number, to: number): void {
  for (let token = from; token < to; token++) {
    const place: RowPlace = { rank, generation: slot.generation, token };
    if (facts.dtype === 'fp8e4m3') slot.quantize(sourceRow(facts, place), token);
    // By turns as fp32, which is rounded on the way, and as the bf16 it becomes.
    else if (facts.dtype === 'bf16' && token % 2 === 0) slot.write(sourceRow(facts, place), token);
    else if (facts.dtype === 'bf16') slot.write(wireRow(facts, place).hidden as Uint16Array, token);
    else slot.hidden.set(wireRow(facts, place).hidden, token * facts.hidden);
    for (const [column, { name, width }] of facts.columns.entries())
      slot.column(name).set(columnRow(facts, column, place), token * width);
  }
}
