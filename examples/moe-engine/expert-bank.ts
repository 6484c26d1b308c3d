/** The experts that a rank holds, with room for the rows of one of them at a time. */
import type { ModelConfig } from './model/config.js';
import { ExpertMath } from './model/expert.js';
import type { ExpertTable } from './model/weights.js';

export class ExpertBank {
  /** [maxRows, hidden] of one expert, to be filled before `run()`. */
  readonly inputs: Float32Array;
  /** [maxRows, hidden], what `run()` makes of them. */
  readonly outputs: Float32Array;
  readonly #experts: ExpertTable;
  readonly #math: ExpertMath;

  constructor({ hidden, expertInner }: ModelConfig, experts: ExpertTable, maxRows: number) {
    this.inputs = new Float32Array(maxRows * hidden);
    this.outputs = new Float32Array(maxRows * hidden);
    this.#experts = experts;
    this.#math = new ExpertMath(hidden, expertInner, maxRows);
  }

  run(layer: number, expert: number, rows: number): void {
    const weights = this.#experts[layer]?.get(expert);
    if (!weights) throw new RangeError(`expert ${expert} of layer ${layer} is not held by this rank`);
    this.#math.run(this.outputs, this.inputs, rows, weights);
  }
}
