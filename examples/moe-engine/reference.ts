/** The engine in one process, without the library: one request at a time, one token at a time, no batching of any kind. */
import { selectionsPerToken } from './model/config.js';
import { Decoder, type Routing } from './model/decoder.js';
import { addInPlace } from './model/math.js';
import type { SafetensorsFile } from './model/safetensors.js';
import { describeWeights, readDecoder, readExperts } from './model/weights.js';
import { ReferenceMoe, type Rounding } from './reference-moe.js';
import { type Generation, type Prompt, Request } from './request.js';

export interface ReferenceRun {
  readonly generations: Generation[];
  /** Generating only; loading the weights is not in it. */
  readonly seconds: number;
}

/** Generates every prompt greedily. Deterministic: the same file, prompts and rounding give the same digests. */
export function generate(
  file: SafetensorsFile,
  prompts: readonly Prompt[],
  rounding: Rounding,
): ReferenceRun {
  const { config } = describeWeights(file);
  const decoder = new Decoder(config, readDecoder(file, config), 1);
  const every = Array.from({ length: config.routedExperts + 1 }, (_, expert) => expert);
  const moe = new ReferenceMoe(config, readExperts(file, config, every), rounding);

  const h = new Float32Array(config.hidden);
  const x = new Uint16Array(config.hidden);
  const routing: Routing = {
    logits: new Float32Array(config.routedExperts),
    experts: new Int32Array(selectionsPerToken(config)),
    weights: new Float32Array(selectionsPerToken(config)),
  };
  const step = (request: Request, token: number): void => {
    const { cache } = request;
    decoder.embed(h, 0, token);
    for (let layer = 0; layer < config.layers; layer++) {
      decoder.attend(h, [{ cache, position: cache.length }], layer);
      decoder.route(h, 1, layer, x, routing);
      addInPlace(h, moe.run(layer, x, routing.experts, routing.weights), config.hidden);
    }
    cache.length++;
  };

  const start = performance.now();
  const generations = prompts.map((prompt) => {
    const request = new Request(prompt, config);
    while (!request.finished) {
      for (const token of request.pending) step(request, token);
      request.accept(decoder.logits(h, 0));
    }
    return request.result();
  });
  return { generations, seconds: (performance.now() - start) / 1000 };
}
