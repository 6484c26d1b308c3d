import { AssertionError } from 'node:assert';
import { isWeftError, type Phase, type WeftCode, type WeftError } from '../errors.js';

export interface Refusal {
  phase?: Phase;
  /** "ffn 1" */
  peer?: string;
}

/** The WeftError that `action` throws or rejects with; fails when there is none, or it is another one. */
export async function rejects(
  action: Promise<unknown> | (() => unknown),
  code: WeftCode,
  { phase, peer }: Refusal = {},
): Promise<WeftError> {
  let error: unknown;
  try {
    await (typeof action === 'function' ? action() : action);
  } catch (thrown) {
    error = thrown;
  }
  if (error === undefined) throw new AssertionError({ message: `nothing was thrown, expected ${code}` });
  if (!isWeftError(error)) throw error;
  const named = error.peer && `${error.peer.role} ${error.peer.rank}`;
  const wrong =
    error.code !== code ||
    (phase !== undefined && error.phase !== phase) ||
    (peer !== undefined && named !== peer);
  if (wrong)
    throw new AssertionError({
      message: `expected ${code} ${phase ?? ''} ${peer ?? ''}, but it is ${error.code} ${error.phase} ${named}: ${error.message}`,
      actual: error.code,
      expected: code,
    });
  return error;
}
