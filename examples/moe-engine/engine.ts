/** What main.ts and matrix.ts share: the weights file, the references, and a split run compared with one. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runSplit, type SplitRun } from './cluster.js';
import { type ModelConfig, modelConfig } from './model/config.js';
import { createWeightsFile, openWeights } from './model/weights.js';
import type { Split } from './options.js';
import { placeExperts } from './placement.js';
import { generate, type ReferenceRun } from './reference.js';
import { checkFit, type Prompt } from './request.js';
import { firstDifference } from './verify.js';

export interface EngineRun {
  readonly split: Split;
  readonly run: SplitRun;
  /** Absent when the run was not to be verified. */
  readonly reference?: ReferenceRun;
  /** The first difference from the reference; absent when there is none. */
  readonly difference?: string;
}

export class Engine implements Disposable {
  readonly weights: string;
  readonly prompts: readonly Prompt[];
  readonly #scratch: string | undefined;
  readonly #references: Map<string, ReferenceRun> = new Map();

  /**
   * Uses the weights file `weights` when it exists and draws it from `seed` when it does not; with no name, it is drawn
   * into a temporary folder that disposal removes. Throws when an existing file disagrees with `config` (a path) or `seed`,
   * or when a prompt does not fit the model.
   */
  constructor(prompts: readonly Prompt[], weights?: string, config?: string, seed?: number) {
    const overrides: unknown = config === undefined ? undefined : JSON.parse(readFileSync(config, 'utf8'));
    this.prompts = prompts;
    this.#scratch = weights === undefined ? mkdtempSync(join(tmpdir(), 'moe-engine-')) : undefined;
    this.weights = weights ?? join(this.#scratch!, 'weights.safetensors');
    try {
      if (!existsSync(this.weights)) createWeightsFile(this.weights, modelConfig(overrides), seed ?? 1);
      const config = checkWeights(this.weights, overrides, seed);
      for (const prompt of prompts) checkFit(prompt, config);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** One split run, and unless `verify` is false its comparison with the one-process engine. */
  async run(
    split: Split,
    verify: boolean,
    signal: AbortSignal,
    onNote: (text: string) => void,
  ): Promise<EngineRun> {
    const run = await runSplit(split, this.weights, this.prompts, signal, onNote);
    if (!verify) return { split, run };
    const reference = this.#reference(split, onNote);
    const difference = firstDifference(reference.generations, run.generations);
    return { split, run, reference, ...(difference === undefined ? {} : { difference }) };
  }

  [Symbol.dispose](): void {
    if (this.#scratch !== undefined) rmSync(this.#scratch, { recursive: true, force: true });
  }

  /** Runs that round alike share a reference: a weighted combine rounds the same whatever the split. */
  #reference(split: Split, onNote: (text: string) => void): ReferenceRun {
    const { dispatch, combine, mode, ffn } = split;
    const key = combine === 'weighted' ? dispatch : `${dispatch} ${mode} ${ffn}`;
    const known = this.#references.get(key);
    if (known) return known;
    onNote('generating the same in one process');
    const { file, config } = openWeights(this.weights);
    try {
      const placement = placeExperts(config, ffn);
      const reference = generate(file, this.prompts, { dispatch, combine, mode, placement });
      this.#references.set(key, reference);
      return reference;
    } finally {
      file.close();
    }
  }
}

/** The config of a weights file, which must be the one that was asked for. */
function checkWeights(path: string, overrides: unknown, seed: number | undefined): ModelConfig {
  const { file, config, seed: stored } = openWeights(path);
  file.close();
  if (seed !== undefined && seed !== stored) {
    throw new Error(
      `${path} was drawn from seed ${stored}, not ${seed}; name another file or leave --seed out`,
    );
  }
  if (overrides !== undefined && JSON.stringify(modelConfig(overrides)) !== JSON.stringify(config)) {
    throw new Error(
      `${path} holds another config: ${JSON.stringify(config)}; name another file or leave --config out`,
    );
  }
  return config;
}
