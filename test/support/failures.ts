import type { Phase, WeftCode } from 'tensorweft';
import { expect } from 'vitest';
import type { Failure } from '../processes/commands.js';
import { MemberError } from './member.js';

export interface Expected {
  code: WeftCode | RegExp;
  phase?: Phase;
  /** "ffn 1" */
  peer?: string;
  /** When the reason for it came up, in milliseconds of the epoch, and how much later it may be noticed. */
  since?: number;
  withinMs?: number;
  /** And how much later at least. */
  afterMs?: number;
}

/** What a member's command failed with, which must be as expected. */
export async function failure(command: Promise<unknown>, expected: Expected): Promise<Failure> {
  const { code, phase, peer, since, withinMs = Number.POSITIVE_INFINITY, afterMs = 0 } = expected;
  const error: unknown = await command.then(
    () => new Error(`succeeded, where ${String(code)} was expected`),
    (reason: unknown) => reason,
  );
  if (!(error instanceof MemberError)) throw error;
  const { failure } = error;
  const named = failure.peer && `${failure.peer.role} ${failure.peer.rank}`;
  expect(failure.code, failure.message).toMatch(code);
  if (phase !== undefined) expect(failure.phase, failure.message).toBe(phase);
  if (peer !== undefined) expect(named, failure.message).toBe(peer);
  if (since !== undefined) {
    // Clocks of two processes agree to a few milliseconds.
    expect(error.at - since, 'time until it was noticed').toBeGreaterThan(afterMs - 30);
    expect(error.at - since, 'time until it was noticed').toBeLessThan(withinMs);
  }
  return failure;
}

/** Whatever kills a process, its peers must notice within this time, in milliseconds, with deadlines far beyond. */
export const AT_ONCE_MS = 2000;
