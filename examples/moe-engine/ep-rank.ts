/** Program of one expert-parallel process: attention for the requests it was given, and its experts for those of all. */
import { EpShare } from './ep-share.js';
import { join } from './join.js';
import { openWeights } from './model/weights.js';
import { runRank } from './rank-main.js';

await runRank(async (context) => {
  const { file, config } = openWeights(context.job.weights);
  const share = new EpShare(file, config, context.job);
  file.close();

  await using mesh = await join('ep', config, context);
  context.note(`joined with ${context.job.prompts.length} prompts and experts ${share.experts.join(' ')}`);
  return await share.run(mesh.ep, context);
});
