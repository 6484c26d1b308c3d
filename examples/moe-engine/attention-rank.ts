/** Program of one attention process: KV caches, attention, routing and sampling of the requests it was given. */
import { attend } from './attention-loop.js';
import { AttentionRounds } from './attention-rounds.js';
import { join } from './join.js';
import { Decoder } from './model/decoder.js';
import { openWeights, readDecoder } from './model/weights.js';
import { runRank } from './rank-main.js';

await runRank(async (context) => {
  const { split, weights, prompts } = context.job;
  const { file, config } = openWeights(weights);
  const decoder = new Decoder(config, readDecoder(file, config), split.maxTokens);
  file.close();

  await using mesh = await join('attention', config, context);
  context.note(`joined with ${prompts.length} prompts`);
  const rounds = new AttentionRounds(mesh.attention, decoder, context);
  await attend(rounds);
  return { attention: rounds.report() };
});
