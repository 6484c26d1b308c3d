/** Seeded weights: their names, shapes and scales, writing them to a file, and reading the part a process needs. */
import type { AttentionWeights } from './attention.js';
import { EOS, expertCount, type ModelConfig, modelConfig, sharedExpert, VOCABULARY } from './config.js';
import type { DecoderWeights } from './decoder.js';
import type { ExpertWeights } from './expert.js';
import { bf16Bits } from './numerics.js';
import { random } from './prng.js';
import { type NamedTensor, SafetensorsFile, writeSafetensors } from './safetensors.js';

/** Experts of one process: [layer] -> expert id -> weights. */
export type ExpertTable = readonly ReadonlyMap<number, ExpertWeights>[];

interface Plan {
  readonly name: string;
  readonly shape: readonly [number, number] | readonly [number];
  /** Standard deviation; a norm's gain is around one and kept in fp32 instead. */
  readonly deviation: number | 'gain';
}

/**
 * Gains over 1/sqrt(fan-in) are chosen by trying: attention sharp enough and experts strong enough that greedy decoding
 * depends on its context and does not fall into a loop at once, router logits wide enough that every expert is used.
 */
const SHARP = 2;
const ROUTER = 1.5;
const EXPERT = 3;

function plan(config: ModelConfig): Plan[] {
  const { hidden, expertInner, routedExperts } = config;
  const width = config.heads * config.headDim;
  const fan = (inputs: number, gain = 1): number => gain / Math.sqrt(inputs);
  const list: Plan[] = [
    { name: 'embedding.weight', shape: [VOCABULARY, hidden], deviation: 1 },
    { name: 'head_norm.weight', shape: [hidden], deviation: 'gain' },
    { name: 'head.weight', shape: [VOCABULARY, hidden], deviation: fan(hidden) },
  ];
  for (let layer = 0; layer < config.layers; layer++) {
    const at = `layers.${layer}`;
    list.push(
      { name: `${at}.attention_norm.weight`, shape: [hidden], deviation: 'gain' },
      { name: `${at}.attention.q.weight`, shape: [width, hidden], deviation: fan(hidden, SHARP) },
      { name: `${at}.attention.k.weight`, shape: [width, hidden], deviation: fan(hidden, SHARP) },
      { name: `${at}.attention.v.weight`, shape: [width, hidden], deviation: fan(hidden) },
      { name: `${at}.attention.o.weight`, shape: [hidden, width], deviation: fan(width) },
      { name: `${at}.expert_norm.weight`, shape: [hidden], deviation: 'gain' },
      { name: `${at}.router.weight`, shape: [routedExperts, hidden], deviation: fan(hidden, ROUTER) },
    );
    for (let expert = 0; expert < expertCount(config); expert++) {
      const name = expertName(config, layer, expert);
      list.push(
        { name: `${name}.gate.weight`, shape: [expertInner, hidden], deviation: fan(hidden) },
        { name: `${name}.up.weight`, shape: [expertInner, hidden], deviation: fan(hidden) },
        { name: `${name}.down.weight`, shape: [hidden, expertInner], deviation: fan(expertInner, EXPERT) },
      );
    }
  }
  return list;
}

function expertName(config: ModelConfig, layer: number, expert: number): string {
  return `layers.${layer}.${expert === sharedExpert(config) ? 'shared_expert' : `experts.${expert}`}`;
}

/** Draws every tensor of the model from `seed`. Uniform draws: only integer arithmetic and one multiplication. */
export function drawWeights(config: ModelConfig, seed: number): NamedTensor[] {
  return plan(config).map(({ name, shape, deviation }) => {
    const next = random(seed, name);
    const count = shape.reduce((product, n) => product * n, 1);
    if (deviation === 'gain') {
      return { name, shape, data: Float32Array.from({ length: count }, () => 0.75 + next() / 2) };
    }
    const reach = 2 * Math.sqrt(3) * deviation;
    const data = new Uint16Array(count);
    for (let i = 0; i < count; i++) {
      const scale = name === 'head.weight' ? headScale(Math.floor(i / shape[shape.length - 1]!)) : 1;
      data[i] = bf16Bits((next() - 0.5) * reach * scale);
    }
    return { name, shape, data };
  });
}

/** Untrained weights say nothing; quiet rows for unprintable bytes at least let them say it in ASCII. */
function headScale(token: number): number {
  return token === EOS || (token >= 0x20 && token < 0x7f) ? 1 : 0.25;
}

/** Writes the weights of `seed` to `path`, with the config in the metadata so that the file describes itself. */
export function createWeightsFile(path: string, config: ModelConfig, seed: number): void {
  writeSafetensors(path, drawWeights(config, seed), { seed: String(seed), config: JSON.stringify(config) });
}

/** The config and seed that `file` was written with. Throws when it was not written by this program. */
export function describeWeights(file: SafetensorsFile): { config: ModelConfig; seed: number } {
  const { config, seed } = file.metadata;
  if (config === undefined || seed === undefined) {
    throw new Error(`${file.path}: the metadata has no config and seed; create the file with this program`);
  }
  return { config: modelConfig(JSON.parse(config)), seed: Number(seed) };
}

/** Reads everything but the experts. */
export function readDecoder(file: SafetensorsFile, config: ModelConfig): DecoderWeights {
  const { hidden, routedExperts } = config;
  const width = config.heads * config.headDim;
  const attention = (at: string): AttentionWeights => ({
    norm: file.read(`${at}.attention_norm.weight`, [hidden]),
    q: file.read(`${at}.attention.q.weight`, [width, hidden]),
    k: file.read(`${at}.attention.k.weight`, [width, hidden]),
    v: file.read(`${at}.attention.v.weight`, [width, hidden]),
    o: file.read(`${at}.attention.o.weight`, [hidden, width]),
  });
  return {
    embedding: file.read('embedding.weight', [VOCABULARY, hidden]),
    head: file.read('head.weight', [VOCABULARY, hidden]),
    headNorm: file.read('head_norm.weight', [hidden]),
    layers: Array.from({ length: config.layers }, (_, layer) => ({
      attention: attention(`layers.${layer}`),
      expertNorm: file.read(`layers.${layer}.expert_norm.weight`, [hidden]),
      router: file.read(`layers.${layer}.router.weight`, [routedExperts, hidden]),
    })),
  };
}

/** Reads the experts `ids` of every layer. */
export function readExperts(file: SafetensorsFile, config: ModelConfig, ids: readonly number[]): ExpertTable {
  const { hidden, expertInner } = config;
  const expert = (at: string): ExpertWeights => ({
    gate: file.read(`${at}.gate.weight`, [expertInner, hidden]),
    up: file.read(`${at}.up.weight`, [expertInner, hidden]),
    down: file.read(`${at}.down.weight`, [hidden, expertInner]),
  });
  return Array.from(
    { length: config.layers },
    (_, layer) => new Map(ids.map((id) => [id, expert(expertName(config, layer, id))])),
  );
}

/** Opens a weights file that this program wrote. The caller closes it. */
export function openWeights(path: string): { file: SafetensorsFile; config: ModelConfig; seed: number } {
  const file = new SafetensorsFile(path);
  try {
    return { file, ...describeWeights(file) };
  } catch (error) {
    file.close();
    throw error;
  }
}
