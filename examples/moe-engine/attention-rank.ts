/** Program of one attention process: KV caches, attention, routing and sampling of the requests it was given. */
import { joinMesh } from 'tensorweft';
import { AttentionLoop } from './attention-loop.js';
import type { AttentionReport } from './job.js';
import { exchangeLayout } from './layout.js';
import { Decoder } from './model/decoder.js';
import { openWeights, readDecoder } from './model/weights.js';
import { runRank } from './rank-main.js';

await runRank<AttentionReport>(async ({ job, token, signal, note }) => {
  const { split } = job;
  const { file, config } = openWeights(job.weights);
  const decoder = new Decoder(config, readDecoder(file, config), split.maxTokens);
  file.close();

  await using mesh = await joinMesh({
    coordinator: job.coordinator,
    token,
    role: 'attention',
    rank: job.rank,
    layout: exchangeLayout(config, split),
    transports: [split.transport],
    deadlineMs: split.deadlineMs,
    signal,
  });
  note(`joined with ${job.prompts.length} prompts`);
  const loop = new AttentionLoop(mesh, decoder, split, job.prompts, signal);
  return await loop.run(({ id, tokens }) => note(`prompt ${id} finished after ${tokens.length} tokens`));
});
