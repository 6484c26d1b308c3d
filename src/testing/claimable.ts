import { setTimeout as sleep } from 'node:timers/promises';
import type { AttentionSlot } from '../afd/attention-slot.js';
import type { Mesh } from '../mesh/mesh.js';

const LONGEST_MS = 10_000;

/**
 * Until so many slots can be claimed at a time, which are given back: the slot of a round that failed or was abandoned
 * comes back when every FFN rank that is still there has replied.
 */
export async function untilClaimable({ attention }: Mesh, count = 1): Promise<void> {
  const until = performance.now() + LONGEST_MS;
  for (;;) {
    const slots: AttentionSlot[] = [];
    try {
      for (let i = 0; i < count; i++) slots.push(attention.claim({ tokens: 0 }));
      return;
    } catch (error) {
      if (performance.now() > until) throw error;
    } finally {
      for (const slot of slots.reverse()) slot.abandon();
    }
    await sleep(1);
  }
}
