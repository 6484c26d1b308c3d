import type { AttentionSide } from '../afd/attention.js';
import type { AttentionSlot } from '../afd/attention-slot.js';
import { columnRow, sourceRow, wireRow } from './contents.js';
import { expertsOf, type Facts, metaOf, type RowPlace, tagOf, tokensOf, weightOf } from './scenario.js';

/** Claims the next round and fills what must be complete before it begins: metadata, experts and weights. */
export function claimRound(
  side: AttentionSide,
  facts: Facts,
  rank: number,
  generation: number,
): AttentionSlot {
  const place = { rank, generation };
  const slot = side.claim({
    tokens: tokensOf(facts, place),
    tag: tagOf(facts, place),
    meta: metaOf(facts, place),
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
