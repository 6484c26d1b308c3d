/** Program of one FFN process: holds some of the experts and serves every attention rank until all have closed. */
import { type FfnPart, joinMesh } from 'tensorweft';
import { ExpertRunner } from './expert-rows.js';
import type { FfnReport } from './job.js';
import { decodeRequestIds, exchangeLayout, LOGITS, layerOf } from './layout.js';
import { type ModelConfig, selectionsPerToken } from './model/config.js';
import { openWeights, readExperts } from './model/weights.js';
import { expertsOf, placeExperts } from './placement.js';
import { runRank } from './rank-main.js';

await runRank<FfnReport>(async ({ job, token, signal, note }) => {
  const { split } = job;
  const { file, config } = openWeights(job.weights);
  const experts = expertsOf(placeExperts(config, split.ffn), job.rank);
  const runner = new ExpertRunner(config, readExperts(file, config, experts), split);
  file.close();

  await using mesh = await joinMesh({
    coordinator: job.coordinator,
    token,
    role: 'ffn',
    rank: job.rank,
    layout: exchangeLayout(config, split),
    transports: [split.transport],
    deadlineMs: split.deadlineMs,
    signal,
  });
  note(`joined with experts ${experts.join(' ')}`);

  const requests = new Set<number>();
  const compute: number[] = [];
  const warmUp = config.layers * split.microBatches * split.attention; // every micro-batch's first step
  let rounds = 0;
  let rows = 0;
  let selections = 0;
  for await (const batch of mesh.ffn.batches({ gather: 'any', signal })) {
    for (const part of batch.parts) {
      checkRouting(part, config);
      for (const id of decodeRequestIds(part.meta)) requests.add(id);
      rounds++;
      rows += part.rows;
      selections += part.selections.count;
      const start = performance.now();
      runner.run(part, layerOf(part.tag));
      if (part.rows > 0 && rounds > warmUp) compute.push((performance.now() - start) * 1000);
      part.reply();
    }
  }
  return {
    experts,
    rounds,
    rows,
    selections,
    requests: [...requests].sort((a, b) => a - b),
    compute: Float64Array.from(compute),
  };
});

/** The columns of a row belong together: its routed experts must stand in the order of the logits that rode along. */
function checkRouting(part: FfnPart, config: ModelConfig): void {
  const logits = part.column(LOGITS) as Float32Array;
  const width = selectionsPerToken(config);
  for (const row of part.rowOf.subarray(0, part.rows)) {
    for (let k = 1; k < config.topK; k++) {
      const better = logits[row * config.routedExperts + part.experts[row * width + k - 1]!]!;
      const worse = logits[row * config.routedExperts + part.experts[row * width + k]!]!;
      if (!(better >= worse)) {
        throw new Error(
          `round ${part.generation} of attention rank ${part.rank}: row ${row} is not in router order`,
        );
      }
    }
  }
}
