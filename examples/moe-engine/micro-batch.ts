/**
 * A set of requests that step through the layers together. A step puts the pending tokens of each through the model:
 * a chunk of the prompt at first, then one token at a time; rows of prompts and of running texts share a step.
 */
import type { Place } from './model/attention.js';
import type { Decoder, Routing } from './model/decoder.js';
import { bf16Value } from './model/numerics.js';
import type { Request } from './request.js';
import type { Scheduler } from './scheduler.js';

export class MicroBatch {
  readonly index: number;
  readonly #decoder: Decoder;
  readonly #maxTokens: number;
  readonly #requests: Request[] = [];
  /** Rows each request has in this step, in the order of #requests. */
  #shares: number[] = [];
  #places: Place[] = [];
  readonly #h: Float32Array;
  /** The layer this step is at; the number of layers when a step is over. */
  #layer: number;
  #steps = 0;

  /** A step has at most `maxTokens` rows, which also bounds the requests: every one has a row in every step. */
  constructor(index: number, decoder: Decoder, maxTokens: number) {
    this.index = index;
    this.#decoder = decoder;
    this.#maxTokens = maxTokens;
    this.#h = new Float32Array(maxTokens * decoder.config.hidden);
    this.#layer = decoder.config.layers;
  }

  get layer(): number {
    return this.#layer;
  }

  /** Rows of the present step; zero when the micro-batch has no requests. */
  get rows(): number {
    return this.#places.length;
  }

  get requestIds(): number[] {
    return this.#requests.map((request) => request.id);
  }

  /** Steps that are over. */
  get steps(): number {
    return this.#steps;
  }

  /** True between steps. */
  get stepOver(): boolean {
    return this.#layer === this.#decoder.config.layers;
  }

  /** Starts a step: admits requests, shares the rows out, and embeds the tokens. */
  begin(scheduler: Scheduler): void {
    for (;;) {
      const request = scheduler.admit(this.#requests.length);
      if (!request) break;
      this.#requests.push(request);
    }
    this.#places = [];
    this.#shares = this.#requests.map(({ cache, pending }, i) => {
      const reserved = this.#requests.length - i - 1; // one row for each request still to come
      const share = Math.min(pending.length, this.#maxTokens - this.#places.length - reserved);
      for (let n = 0; n < share; n++) {
        this.#decoder.embed(this.#h, this.#places.length, pending[n]!);
        this.#places.push({ cache, position: cache.length + n });
      }
      return share;
    });
    this.#layer = 0;
  }

  /** The attention half of the layer: `h += attention(norm(h))`, then bf16(norm(h)) into `x` and the routing of it. */
  attend(x: Uint16Array, routing: Routing): void {
    this.#decoder.attend(this.#h, this.#places, this.#layer);
    this.#decoder.route(this.#h, this.rows, this.#layer, x, routing);
  }

  /**
   * The other half: adds the experts' result, bf16 [rows, hidden]. After the last layer the step is over: requests whose
   * tokens are all in take the next one, and those that are finished by it leave and are returned.
   */
  absorb(experts: Uint16Array, scheduler: Scheduler): Request[] {
    const count = this.rows * this.#decoder.config.hidden;
    for (let i = 0; i < count; i++) this.#h[i] = this.#h[i]! + bf16Value(experts[i]!);
    this.#layer++;
    if (!this.stepOver) return [];
    this.#steps++;
    return this.#sample(scheduler);
  }

  #sample(scheduler: Scheduler): Request[] {
    let row = 0;
    for (const [i, request] of this.#requests.entries()) {
      const complete = this.#shares[i] === request.pending.length;
      request.cache.length += this.#shares[i]!;
      row += this.#shares[i]!;
      if (complete) request.accept(this.#decoder.logits(this.#h, row - 1));
    }
    const finished = this.#requests.filter((request) => request.finished);
    for (const request of finished) {
      this.#requests.splice(this.#requests.indexOf(request), 1);
      scheduler.finish();
    }
    return finished;
  }
}
