/** One text being continued: its tokens, its KV cache, and the digest that verification compares. */
import { createHash, type Hash } from 'node:crypto';
import { EOS, type ModelConfig } from './model/config.js';
import { KvCache } from './model/kv-cache.js';
import { argmax } from './model/math.js';
import { encode } from './model/tokens.js';

/** What to generate. `id` numbers the prompts of a run. */
export interface Prompt {
  readonly id: number;
  readonly text: string;
  /** Tokens to generate at most; fewer when the model ends the text. */
  readonly tokens: number;
}

/** What was generated. */
export interface Generation {
  readonly id: number;
  /** Generated tokens only; the last may be EOS. */
  readonly tokens: number[];
  /** Over the bits of every logit of every step: equal digests mean equal arithmetic, not only equal choices. */
  readonly digest: string;
}

/** Positions that `prompt` needs. Throws when the model's context has fewer. */
export function checkFit(prompt: Prompt, config: ModelConfig): number {
  const length = encode(prompt.text).length;
  const capacity = length + prompt.tokens;
  if (capacity <= config.maxContext) return capacity;
  throw new RangeError(
    `prompt ${prompt.id} of ${length} tokens and ${prompt.tokens} to generate are ${capacity}, ` +
      `the model's context is ${config.maxContext}: shorten one, or raise maxContext in the config`,
  );
}

export class Request {
  readonly id: number;
  readonly cache: KvCache;
  /** Prompt and generated tokens. The first `cache.length` of them are in the cache. */
  readonly #tokens: number[];
  readonly #generated: number[] = [];
  readonly #limit: number;
  readonly #digest: Hash = createHash('sha256');

  /** Throws when prompt and continuation do not fit the model's context. */
  constructor(prompt: Prompt, config: ModelConfig) {
    const capacity = checkFit(prompt, config);
    this.id = prompt.id;
    this.cache = new KvCache(config, capacity);
    this.#tokens = encode(prompt.text);
    this.#limit = prompt.tokens;
  }

  /** Tokens that are not in the cache yet: the rest of the prompt, or the one generated last. */
  get pending(): readonly number[] {
    return this.#tokens.slice(this.cache.length);
  }

  get finished(): boolean {
    return this.#generated.length >= this.#limit || this.#generated.at(-1) === EOS;
  }

  /** Takes the greedy choice after the whole of the tokens so far. */
  accept(logits: Float32Array): void {
    this.#digest.update(new Uint8Array(logits.buffer, logits.byteOffset, logits.byteLength));
    const token = argmax(logits);
    this.#tokens.push(token);
    this.#generated.push(token);
  }

  /** Call once, when finished. */
  result(): Generation {
    return { id: this.id, tokens: this.#generated, digest: this.#digest.digest('hex') };
  }
}
