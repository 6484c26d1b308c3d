/** The shape of the model. Everything that a JSON file may override is here, and nothing else. */
import { z } from 'zod';

/** Token ids 0..255 are bytes; the two above them frame a text. */
export const BOS = 256;
export const EOS = 257;
export const VOCABULARY = 258;

const positive = z.number().int().positive();

const schema = z
  .strictObject({
    hidden: positive.max(8192).default(256),
    layers: positive.max(65_535).default(4),
    heads: positive.default(4),
    headDim: positive.multipleOf(2).default(64),
    /** Experts a token is routed among; one shared expert, which every token visits, comes on top. */
    routedExperts: positive.max(1024).default(16),
    /** Routed experts per token. */
    topK: positive.default(4),
    /** Inner width of one expert. */
    expertInner: positive.default(128),
    /** Positions RoPE is tabulated for: the longest prompt plus its continuation. */
    maxContext: positive.default(1024),
    ropeTheta: z.number().positive().default(10_000),
    normEpsilon: z.number().positive().default(1e-6),
  })
  .refine((c) => c.topK <= c.routedExperts, { path: ['topK'], message: 'topK is larger than routedExperts' });

/** Immutable once parsed. Widths are in elements. */
export type ModelConfig = Readonly<z.infer<typeof schema>>;

/** Completes `overrides` with the defaults. Throws an Error that lists every wrong or unknown field. */
export function modelConfig(overrides: unknown = {}): ModelConfig {
  const parsed = schema.safeParse(overrides);
  if (!parsed.success) throw new Error(`model config: ${z.prettifyError(parsed.error)}`);
  return Object.freeze(parsed.data);
}

/** Id of the shared expert: the one after the routed ones. */
export function sharedExpert(config: ModelConfig): number {
  return config.routedExperts;
}

/** Experts in all, the shared one included. */
export function expertCount(config: ModelConfig): number {
  return config.routedExperts + 1;
}

/** Selections of one token: its routed experts, best first, then the shared one. */
export function selectionsPerToken(config: ModelConfig): number {
  return config.topK + 1;
}
