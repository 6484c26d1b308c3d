/** Compares a split run with the one-process reference. */
import { printable } from './model/tokens.js';
import type { Generation } from './request.js';

/** Undefined when both are the same in every token and every logit bit; otherwise the first difference, in words. */
export function firstDifference(
  expected: readonly Generation[],
  got: readonly Generation[],
): string | undefined {
  if (got.length !== expected.length)
    return `${got.length} texts were generated, ${expected.length} expected`;
  for (const [i, want] of expected.entries()) {
    const have = got[i]!;
    if (have.id !== want.id) return `text ${i} belongs to prompt ${have.id}, not ${want.id}`;
    for (let t = 0; t < Math.max(want.tokens.length, have.tokens.length); t++) {
      if (have.tokens[t] === want.tokens[t]) continue;
      return `prompt ${want.id}, token ${t}: ${show(have.tokens[t])}, one process generates ${show(want.tokens[t])}`;
    }
    if (have.digest !== want.digest)
      return `prompt ${want.id}: same tokens, but the bits of the logits differ`;
  }
  return undefined;
}

function show(token: number | undefined): string {
  return token === undefined ? 'nothing' : `${token} '${printable([token])}'`;
}
