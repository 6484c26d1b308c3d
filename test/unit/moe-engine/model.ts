/** A small model in a temporary file, for tests that need weights but no particular ones. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ModelConfig, modelConfig } from '../../../examples/moe-engine/model/config.js';
import type { SafetensorsFile } from '../../../examples/moe-engine/model/safetensors.js';
import { createWeightsFile, openWeights } from '../../../examples/moe-engine/model/weights.js';

export const SMALL: ModelConfig = modelConfig({
  hidden: 160, // one full FP8 group and a short one
  layers: 2,
  heads: 2,
  headDim: 16,
  routedExperts: 16,
  topK: 4,
  expertInner: 24,
  maxContext: 128,
});

/** Calls `use` with an open weights file of `seed` and removes it afterwards. */
export function withWeights<T>(
  seed: number,
  use: (file: SafetensorsFile) => T,
  config: ModelConfig = SMALL,
): T {
  const folder = mkdtempSync(join(tmpdir(), 'moe-engine-test-'));
  try {
    const path = join(folder, 'weights.safetensors');
    createWeightsFile(path, config, seed);
    using file = openWeights(path).file;
    return use(file);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
