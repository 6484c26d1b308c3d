/** The exchange that carries the expert layers, the same value on every rank; joining fails when it differs. */
import type { ExchangeLayout } from 'tensorweft';
import { expertCount, type ModelConfig, selectionsPerToken } from './model/config.js';
import type { Split } from './options.js';
import { placeExperts } from './placement.js';

/** Extra column of a row: the router's logits, [routedExperts] in fp32. */
export const LOGITS = 'logits';

export function exchangeLayout(config: ModelConfig, split: Split): ExchangeLayout {
  return {
    hidden: config.hidden,
    maxTokens: split.maxTokens,
    // One slot per micro-batch: each always has exactly one round in flight.
    depth: split.microBatches,
    dispatch: { dtype: split.dispatch === 'fp8' ? 'fp8e4m3' : 'bf16', mode: split.mode },
    experts: {
      count: expertCount(config),
      topK: selectionsPerToken(config),
      placement: placeExperts(config, split.ffn),
    },
    combine: split.combine,
    columns: [{ name: LOGITS, dtype: 'f32', width: config.routedExperts }],
    // Request ids, four bytes each; a micro-batch has at least one row per request.
    metaBytes: 4 * split.maxTokens,
  };
}

const WORKING = 0x8000;

/**
 * The 32-bit tag of a round: which layer its rows are at, which micro-batch they belong to, and whether its source had
 * unfinished requests, in this micro-batch or another.
 */
export function roundTag(layer: number, microBatch: number, working: boolean): number {
  return ((layer << 16) | (working ? WORKING : 0) | microBatch) >>> 0;
}

export function layerOf(tag: number): number {
  return tag >>> 16;
}

export function sourceWorks(tag: number): boolean {
  return (tag & WORKING) !== 0;
}

/** User metadata of a round: the ids of the requests in it, little-endian u32 each. */
export function encodeRequestIds(ids: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(4 * ids.length);
  const view = new DataView(bytes.buffer);
  for (const [i, id] of ids.entries()) view.setUint32(4 * i, id, true);
  return bytes;
}

export function decodeRequestIds(meta: Uint8Array): number[] {
  const view = new DataView(meta.buffer, meta.byteOffset, meta.byteLength);
  return Array.from({ length: meta.byteLength / 4 }, (_, i) => view.getUint32(4 * i, true));
}
