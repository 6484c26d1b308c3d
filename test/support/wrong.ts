import type { Phase, WeftCode, WeftError } from 'tensorweft';
import { expect } from 'vitest';
import { rejects } from '../../src/testing/rejects.js';

export interface Wrong {
  /** Default WEFT_INVALID_ARGUMENT. */
  code?: WeftCode;
  phase?: Phase;
}

/** The action must be refused, with an error that names the argument and says what is allowed. */
export async function refuses(
  argument: string,
  action: Promise<unknown> | (() => unknown),
  { code = 'WEFT_INVALID_ARGUMENT', phase }: Wrong = {},
): Promise<WeftError> {
  const error = await rejects(action, code, phase === undefined ? {} : { phase });
  expect(error.details?.argument, error.message).toBe(argument);
  expect(error.message).toContain(argument);
  if (error.details?.allowed !== undefined && code === 'WEFT_INVALID_ARGUMENT')
    expect(error.message).toContain(String(error.details.allowed));
  return error;
}
