import type { ExchangeLayout } from '../afd/layout.js';
import { invalidArgument } from '../errors.js';
import type { NativeWorkload } from '../native.js';

/** The shape of a benchmark. */
export interface Shape {
  attention: number;
  ffn: number;
  tokens: number;
  hidden: number;
  dispatch: 'fp8' | 'bf16' | 'bytes';
  /** Rounds in flight per attention rank. */
  depth: number;
}

/** Step-3's decode shape (FP8 there, bf16 back) and StepMesh's own benchmark (bf16 both ways). */
export const AFD_PRESETS: Readonly<Record<string, Shape>> = {
  'step3-1a1f': { attention: 1, ffn: 1, tokens: 128, hidden: 7168, dispatch: 'fp8', depth: 1 },
  'step3-2a2f': { attention: 2, ffn: 2, tokens: 128, hidden: 7168, dispatch: 'fp8', depth: 1 },
  'step3-3a2f': { attention: 3, ffn: 2, tokens: 128, hidden: 7168, dispatch: 'fp8', depth: 1 },
  'stepmesh-t4': { attention: 1, ffn: 1, tokens: 4, hidden: 7168, dispatch: 'bf16', depth: 1 },
  'stepmesh-t64': { attention: 1, ffn: 1, tokens: 64, hidden: 7168, dispatch: 'bf16', depth: 1 },
};

/** Widest opaque row; larger messages have several. */
const MAX_ROW = 1 << 20;

/** A ping-pong of messages of `size` bytes. */
export function pingPongShape(size: number): Shape {
  const hidden = Math.min(size, MAX_ROW);
  if (size % hidden !== 0)
    throw invalidArgument('--size', size, `up to ${MAX_ROW} bytes, or a multiple of that`);
  return { attention: 1, ffn: 1, tokens: size / hidden, hidden, dispatch: 'bytes', depth: 1 };
}

export function layoutOf(shape: Shape): ExchangeLayout {
  const dtype = ({ fp8: 'fp8e4m3', bf16: 'bf16', bytes: 'u8' } as const)[shape.dispatch];
  return {
    hidden: shape.hidden,
    maxTokens: shape.tokens,
    depth: Math.max(2, shape.depth + 1),
    dispatch: { dtype },
    combine: dtype === 'u8' ? 'none' : 'sum',
    metaBytes: 0,
  };
}

export function nativeWorkload(shape: Shape, blocks = 1): NativeWorkload {
  const { attention, ffn, tokens, hidden, depth, dispatch } = shape;
  return {
    attention,
    ffn,
    tokens,
    hidden,
    depth,
    blocks,
    fp8: dispatch === 'fp8',
    opaque: dispatch === 'bytes',
  };
}
