/** The FFN side of one round: the expert outputs of the rows that one attention rank dispatched here. */
import type { TypedArray } from 'tensorweft';
import { ExpertBank } from './expert-bank.js';
import { type ModelConfig, selectionsPerToken } from './model/config.js';
import { bf16Bits, bf16Value, toBf16 } from './model/numerics.js';
import type { ExpertTable } from './model/weights.js';
import type { Split } from './options.js';
import { type Payload, readRow } from './payload.js';

/** The views of a part that are read and written here; a `part` of `mesh.ffn.batches()` is one. */
export interface ExpertRows extends Payload {
  /** Rows this rank takes, and for each where it is in the views below. */
  readonly rows: number;
  readonly rowOf: Uint32Array;
  /** [selectionsPerToken] a row, unlike `selections`, which lists only what is for this rank. */
  readonly weights: Float32Array;
  readonly selections: {
    readonly count: number;
    readonly row: Uint32Array;
    readonly expert: Int32Array;
    readonly k: Uint32Array;
  };
  /** bf16 */
  readonly output: TypedArray;
}

export class ExpertRunner {
  readonly #config: ModelConfig;
  readonly #bank: ExpertBank;
  readonly #combine: Split['combine'];
  /** Taken rows in fp32, in their order. */
  readonly #x: Float32Array;
  /** Outputs of all selections in their order, bf16 values in fp32. */
  readonly #y: Float32Array;
  /** Taken row of each selection. */
  readonly #taken: Uint32Array;
  /** Selections of each expert, rebuilt for every part. */
  readonly #byExpert: Map<number, number[]> = new Map();

  /** `experts` are those that this rank holds; no part has more rows than split.maxTokens. */
  constructor(config: ModelConfig, experts: ExpertTable, split: Pick<Split, 'maxTokens' | 'combine'>) {
    const { maxTokens } = split;
    const selections = maxTokens * selectionsPerToken(config);
    this.#config = config;
    this.#bank = new ExpertBank(config, experts, maxTokens);
    this.#combine = split.combine;
    this.#x = new Float32Array(maxTokens * config.hidden);
    this.#y = new Float32Array(selections * config.hidden);
    this.#taken = new Uint32Array(selections);
  }

  /** Fills `part.output` for experts of `layer`: one row per selection, or per taken row when the combine is 'sum'. */
  run(part: ExpertRows, layer: number): void {
    const { hidden } = this.#config;
    this.#receive(part);
    this.#group(part);
    for (const [expert, selections] of this.#byExpert) this.#runExpert(layer, expert, selections);
    if (this.#combine === 'sum') this.#sum(part);
    else toBf16(this.#y, part.output as Uint16Array, part.selections.count * hidden);
  }

  /** Widens or dequantises every taken row once, however many experts read it. */
  #receive(part: ExpertRows): void {
    const { hidden } = this.#config;
    for (let i = 0; i < part.rows; i++)
      readRow(part, part.rowOf[i]!, this.#x.subarray(i * hidden, (i + 1) * hidden));
  }

  /** Selections come by taken row, so one pass finds the row of each. */
  #group({ rowOf, selections }: ExpertRows): void {
    this.#byExpert.clear();
    let i = 0;
    for (let s = 0; s < selections.count; s++) {
      while (rowOf[i] !== selections.row[s]) i++;
      this.#taken[s] = i;
      const expert = selections.expert[s]!;
      const group = this.#byExpert.get(expert);
      if (group) group.push(s);
      else this.#byExpert.set(expert, [s]);
    }
  }

  #runExpert(layer: number, expert: number, selections: readonly number[]): void {
    const { hidden } = this.#config;
    const { inputs, outputs } = this.#bank;
    for (const [n, s] of selections.entries()) {
      const from = this.#taken[s]! * hidden;
      inputs.set(this.#x.subarray(from, from + hidden), n * hidden);
    }
    this.#bank.run(layer, expert, selections.length);
    for (const [n, s] of selections.entries()) {
      for (let c = 0; c < hidden; c++)
        this.#y[s * hidden + c] = bf16Value(bf16Bits(outputs[n * hidden + c]!));
    }
  }

  /** This rank's share of each taken row: fp32 products summed in k order, rounded once; zeros when it has none. */
  #sum({ rows, rowOf, weights, selections, output }: ExpertRows): void {
    const { hidden } = this.#config;
    const width = selectionsPerToken(this.#config);
    let s = 0;
    for (let i = 0; i < rows; i++) {
      const sum = this.#bank.inputs.subarray(0, hidden).fill(0);
      for (let n = 0; s < selections.count && this.#taken[s] === i; s++, n++) {
        const w = weights[rowOf[i]! * width + selections.k[s]!]!;
        for (let c = 0; c < hidden; c++) {
          const product = Math.fround(w * this.#y[s * hidden + c]!);
          sum[c] = n === 0 ? product : sum[c]! + product;
        }
      }
      toBf16(sum, output.subarray(i * hidden) as Uint16Array, hidden);
    }
  }
}
