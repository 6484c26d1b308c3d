/** The attention side of the model: everything but the experts. Used alike by the one-process reference and the split. */
import { Attention, type AttentionWeights, type Place } from './attention.js';
import { type ModelConfig, selectionsPerToken, sharedExpert, VOCABULARY } from './config.js';
import { matmul, rmsNorm } from './math.js';
import { fromBf16, toBf16 } from './numerics.js';
import { topExperts } from './router.js';

/** fp32, row-major. embedding and head are [VOCABULARY, hidden], router is [routedExperts, hidden]. */
export interface DecoderWeights {
  readonly embedding: Float32Array;
  readonly head: Float32Array;
  readonly headNorm: Float32Array;
  readonly layers: readonly {
    readonly attention: AttentionWeights;
    readonly expertNorm: Float32Array;
    readonly router: Float32Array;
  }[];
}

/**
 * What the router decides about a batch of rows. The split engine passes views over its slot, so that routing writes
 * where it is published from; the reference passes arrays of its own.
 */
export interface Routing {
  /** [rows, routedExperts] */
  readonly logits: Float32Array;
  /** [rows, selectionsPerToken]: routed experts, best first, then the shared one. */
  readonly experts: Int32Array;
  /** [rows, selectionsPerToken]: routed weights sum to one; the shared expert's is one. */
  readonly weights: Float32Array;
}

export class Decoder {
  readonly config: ModelConfig;
  readonly #weights: DecoderWeights;
  readonly #attention: Attention;
  readonly #x: Float32Array;
  readonly #logits: Float32Array = new Float32Array(VOCABULARY);

  /** `maxRows` bounds the rows of one call. */
  constructor(config: ModelConfig, weights: DecoderWeights, maxRows: number) {
    this.config = config;
    this.#weights = weights;
    this.#attention = new Attention(config, maxRows);
    this.#x = new Float32Array(maxRows * config.hidden);
  }

  /** Puts the embedding of `token` into row `row` of `h`. */
  embed(h: Float32Array, row: number, token: number): void {
    const { hidden } = this.config;
    h.set(this.#weights.embedding.subarray(token * hidden, (token + 1) * hidden), row * hidden);
  }

  /** `h += attention(norm(h))` at `layer`. */
  attend(h: Float32Array, places: readonly Place[], layer: number): void {
    this.#attention.run(h, places, layer, this.#weights.layers[layer]!.attention);
  }

  /**
   * `x = bf16(norm(h))`, the payload of the dispatch, and the routing computed from that rounded x, so that the choice
   * of experts is the same whatever the dispatch quantises to.
   */
  route(h: Float32Array, rows: number, layer: number, x: Uint16Array, routing: Routing): void {
    const { hidden, routedExperts, topK, normEpsilon } = this.config;
    const weights = this.#weights.layers[layer]!;
    const width = selectionsPerToken(this.config);
    rmsNorm(this.#x, h, weights.expertNorm, rows, normEpsilon);
    toBf16(this.#x, x, rows * hidden);
    fromBf16(x, this.#x, rows * hidden);
    matmul(routing.logits, this.#x, weights.router, rows, hidden, routedExperts);
    for (let row = 0; row < rows; row++) {
      const logits = routing.logits.subarray(row * routedExperts, (row + 1) * routedExperts);
      topExperts(logits, topK, routing.experts, routing.weights, row * width);
      routing.experts[row * width + topK] = sharedExpert(this.config);
      routing.weights[row * width + topK] = 1;
    }
  }

  /** Logits of the next token after row `row` of `h`: [VOCABULARY], valid until the next call. */
  logits(h: Float32Array, row: number): Float32Array {
    const { hidden, normEpsilon } = this.config;
    const from = h.subarray(row * hidden, (row + 1) * hidden);
    rmsNorm(this.#x, from, this.#weights.headNorm, 1, normEpsilon);
    matmul(this.#logits, this.#x, this.#weights.head, 1, hidden, VOCABULARY);
    return this.#logits;
  }
}
