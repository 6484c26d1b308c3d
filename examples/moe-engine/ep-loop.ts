/**
 * The software pipeline of an expert-parallel rank. Micro-batches take turns as those of an attention rank do; when it has
 * dispatched, a turn also runs this rank's experts on what all ranks dispatched in the turn before. So a round has a turn's
 * attention to travel in, and its replies have the turns that are left until its micro-batch comes round again.
 *
 * Ranks are in step: in a round all are at the same layer of the same micro-batch, whatever their requests. One that has
 * finished goes on with rounds without rows, since the others may need its experts.
 */
import type { ExpertBatch, ExpertSide } from 'tensorweft';
import type { AttentionRounds } from './attention-rounds.js';
import { layerOf, sourceWorks } from './layout.js';
import type { MicroBatch } from './micro-batch.js';

/** Generates every prompt, and returns when all ranks have. `run` fills the output of a batch for experts of `layer`. */
export async function attendAndServe(
  side: ExpertSide,
  rounds: AttentionRounds,
  run: (batch: ExpertBatch, layer: number) => void,
  signal: AbortSignal,
): Promise<void> {
  /** Whether any rank had unfinished requests when it dispatched the round that `batch` holds. */
  const serve = async (batch: MicroBatch): Promise<boolean> => {
    const arrived = await rounds.expose(batch, side.next({ signal }));
    const tags = arrived.parts.map((part) => part.tag);
    if (tags.some((tag) => layerOf(tag) !== batch.layer))
      throw new Error(`ranks are out of step: ${tags.map(layerOf).join(', ')} are their layers`);
    run(arrived, batch.layer);
    arrived.reply();
    return tags.some(sourceWorks);
  };
  const { batches } = rounds;
  let last: MicroBatch | undefined;
  // All ranks read the same answer from the same round, with as many rounds dispatched: so all stop after the same one.
  for (let turn = 0, working = true; working; turn++) {
    const batch = batches[turn % batches.length]!;
    await rounds.receive(batch);
    rounds.send(batch);
    if (last) working = await serve(last);
    last = batch;
  }
  await serve(last!);
  for (const batch of batches) await rounds.receive(batch);
}
