/**
 * The software pipeline of an attention rank. Micro-batches take turns; a turn takes in the experts' result for the layer
 * that the micro-batch was at, computes attention of the next one, and dispatches it. While one attends, the rounds of
 * the others travel or are computed by the FFN ranks.
 */
import type { AttentionRounds } from './attention-rounds.js';

/** Generates every prompt. */
export async function attend(rounds: AttentionRounds): Promise<void> {
  while (rounds.unfinished) {
    for (const batch of rounds.batches) {
      await rounds.receive(batch);
      if (!rounds.unfinished) break;
      rounds.send(batch);
    }
  }
  // What is still in flight has no rows, since nobody is unfinished; taking it in leaves every slot quiet.
  for (const batch of rounds.batches) await rounds.receive(batch);
}
