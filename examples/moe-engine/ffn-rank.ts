/** Program of one FFN process: holds some of the experts and serves every attention rank until all have closed. */
import { ExpertRunner } from './expert-rows.js';
import { ExpertTally } from './expert-tally.js';
import { join } from './join.js';
import { layerOf } from './layout.js';
import { openWeights, readExperts } from './model/weights.js';
import { expertsOf, placeExperts } from './placement.js';
import { runRank } from './rank-main.js';

await runRank(async (context) => {
  const { split, weights, rank } = context.job;
  const { file, config } = openWeights(weights);
  const experts = expertsOf(placeExperts(config, split.ffn), rank);
  const runner = new ExpertRunner(config, readExperts(file, config, experts), split);
  file.close();

  await using mesh = await join('ffn', config, context);
  context.note(`joined with experts ${experts.join(' ')}`);
  // Every part is a round of its own here, so each attention rank's micro-batches have a first step.
  const tally = new ExpertTally(experts, config, config.layers * split.microBatches * split.attention);
  for await (const batch of mesh.ffn.batches({ gather: 'any', signal: context.signal })) {
    for (const part of batch.parts) {
      tally.run([part], part.selections.count, () => runner.run(part, layerOf(part.tag)));
      part.reply();
    }
  }
  return { ffn: tally.report() };
});
