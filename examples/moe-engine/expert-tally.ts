/** What came to the experts of a rank and how long they took, for its report; and a check of what came. */
import type { ExpertPart } from 'tensorweft';
import type { FfnReport } from './job.js';
import { decodeRequestIds, LOGITS } from './layout.js';
import { type ModelConfig, selectionsPerToken } from './model/config.js';

export class ExpertTally {
  readonly #experts: readonly number[];
  readonly #config: ModelConfig;
  readonly #warmUp: number;
  readonly #requests: Set<number> = new Set();
  readonly #compute: number[] = [];
  #rounds = 0;
  #rows = 0;
  #selections = 0;

  /** The first `warmUp` rounds are not timed. */
  constructor(experts: readonly number[], config: ModelConfig, warmUp: number) {
    this.#experts = experts;
    this.#config = config;
    this.#warmUp = warmUp;
  }

  /** `compute` is the experts' arithmetic of a round that `parts` came with. */
  run(parts: readonly ExpertPart[], selections: number, compute: () => void): void {
    let rows = 0;
    for (const part of parts) {
      checkRouting(part, this.#config);
      for (const id of decodeRequestIds(part.meta)) this.#requests.add(id);
      rows += part.rows;
    }
    this.#rounds++;
    this.#rows += rows;
    this.#selections += selections;
    const start = performance.now();
    compute();
    if (rows > 0 && this.#rounds > this.#warmUp) this.#compute.push((performance.now() - start) * 1000);
  }

  report(): FfnReport {
    return {
      experts: [...this.#experts],
      rounds: this.#rounds,
      rows: this.#rows,
      selections: this.#selections,
      requests: [...this.#requests].sort((a, b) => a - b),
      compute: Float64Array.from(this.#compute),
    };
  }
}

/** The columns of a row belong together: its routed experts must stand in the order of the logits that rode along. */
function checkRouting(part: ExpertPart, config: ModelConfig): void {
  const logits = part.column(LOGITS) as Float32Array;
  const experts = part.column('experts') as Int32Array;
  const width = selectionsPerToken(config);
  for (const row of part.rowOf.subarray(0, part.rows)) {
    for (let k = 1; k < config.topK; k++) {
      const better = logits[row * config.routedExperts + experts[row * width + k - 1]!]!;
      const worse = logits[row * config.routedExperts + experts[row * width + k]!]!;
      if (!(better >= worse))
        throw new Error(`row ${row} of a round of rank ${part.rank} is not in router order`);
    }
  }
}
