/** What an expert-parallel rank holds of the model, and what it does with it once it has joined. */
import type { ExpertBatch, ExpertSide } from 'tensorweft';
import { AttentionRounds } from './attention-rounds.js';
import { attendAndServe } from './ep-loop.js';
import { PlaceRunner } from './expert-places.js';
import { ExpertTally } from './expert-tally.js';
import type { RankJob, RankReport } from './job.js';
import type { ModelConfig } from './model/config.js';
import { Decoder } from './model/decoder.js';
import type { SafetensorsFile } from './model/safetensors.js';
import { readDecoder, readExperts } from './model/weights.js';
import { expertsOf, placeExperts } from './placement.js';
import type { RankContext } from './rank-main.js';

export class EpShare {
  /** Experts of this rank, of every layer. */
  readonly experts: readonly number[];
  readonly #config: ModelConfig;
  readonly #decoder: Decoder;
  readonly #runner: PlaceRunner;

  /** `file` may be closed afterwards. */
  constructor(file: SafetensorsFile, config: ModelConfig, { split, rank }: Pick<RankJob, 'split' | 'rank'>) {
    this.experts = expertsOf(placeExperts(config, split.ffn), rank);
    this.#config = config;
    this.#decoder = new Decoder(config, readDecoder(file, config), split.maxTokens);
    this.#runner = new PlaceRunner(config, readExperts(file, config, this.experts), split);
  }

  /** Generates the prompts of this rank, and serves those of the others; once. */
  async run(side: ExpertSide, context: Pick<RankContext, 'job' | 'signal' | 'note'>): Promise<RankReport> {
    const { layers } = this.#config;
    const rounds = new AttentionRounds(side, this.#decoder, context);
    const tally = new ExpertTally(this.experts, this.#config, layers * context.job.split.microBatches);
    const run = (batch: ExpertBatch, layer: number): void =>
      tally.run(batch.parts, batch.places, () => this.#runner.run(batch, layer));
    await attendAndServe(side, rounds, run, context.signal);
    return { attention: rounds.report(), ffn: tally.report() };
  }
}
