import { invalidArgument } from '../errors.js';

/**
 * When a batch is handed over. 'any': as soon as an attention rank has a round ready (with all that are ready then).
 * 'all': when every attention rank that is still there has one. `{ atLeast, withinMs }`: when that many have one, or
 * `withinMs` milliseconds after the first had, whichever comes first.
 */
export type Gather = 'any' | 'all' | { readonly atLeast: number; readonly withinMs: number };

/** kind, count, within: the native side's arguments. */
export function nativeGather(gather: Gather, attention: number): [number, number, number] {
  if (gather === 'any') return [0, 1, 0];
  if (gather === 'all') return [1, attention, 0];
  if (typeof gather !== 'object' || gather === null)
    throw invalidArgument('gather', gather, "'any', 'all' or { atLeast, withinMs }");
  const { atLeast, withinMs } = gather;
  if (!Number.isSafeInteger(atLeast) || atLeast < 1 || atLeast > attention)
    throw invalidArgument('gather.atLeast', atLeast, `an integer, 1 to ${attention} (the attention ranks)`);
  if (typeof withinMs !== 'number' || !(withinMs >= 0) || withinMs > 1e9)
    throw invalidArgument('gather.withinMs', withinMs, 'milliseconds, 0 to 1e9');
  return [2, atLeast, withinMs];
}
