/** The experts' side of an expert-parallel round: outputs for the rows that all ranks dispatched here, expert by expert. */
import type { ExpertBatch } from 'tensorweft';
import { ExpertBank } from './expert-bank.js';
import type { ModelConfig } from './model/config.js';
import { toBf16 } from './model/numerics.js';
import type { ExpertTable } from './model/weights.js';
import type { Split } from './options.js';
import { type Payload, readRow } from './payload.js';

/** What is read and written here of a batch of `mesh.ep`. */
export interface ExpertPlaces
  extends Pick<ExpertBatch, 'experts' | 'counts' | 'begins' | 'source' | 'row' | 'output'> {
  readonly parts: readonly (Payload & { readonly rank: number })[];
}

export class PlaceRunner {
  readonly #hidden: number;
  readonly #bank: ExpertBank;

  /** `experts` are those that this rank holds. */
  constructor(config: ModelConfig, experts: ExpertTable, split: Pick<Split, 'maxTokens' | 'attention'>) {
    this.#hidden = config.hidden;
    this.#bank = new ExpertBank(config, experts, split.maxTokens * split.attention);
  }

  /** Fills `batch.output` for experts of `layer`. Rows are read where their sources published them. */
  run(batch: ExpertPlaces, layer: number): void {
    const { experts, counts, begins, source, row, output } = batch;
    const hidden = this.#hidden;
    const { inputs, outputs } = this.#bank;
    const payloads = new Map(batch.parts.map((part) => [part.rank, part]));
    for (const [e, expert] of experts.entries()) {
      const count = counts[e]!;
      if (count === 0) continue;
      const begin = begins[e]!;
      for (let n = 0; n < count; n++) {
        const payload = payloads.get(source[begin + n]!)!;
        readRow(payload, row[begin + n]!, inputs.subarray(n * hidden, (n + 1) * hidden));
      }
      this.#bank.run(layer, expert, count);
      toBf16(outputs, output.subarray(begin * hidden), count * hidden);
    }
  }
}
