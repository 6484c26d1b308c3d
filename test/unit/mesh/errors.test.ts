import { describe, expect, it, vi } from 'vitest';
import {
  abortedError,
  deadlineError,
  givenText,
  invalidArgument,
  isWeftError,
  systemError,
  WeftError,
} from '../../../src/errors.js';

describe('WeftError', () => {
  it('carries code, phase, peer, details and cause', () => {
    const cause = new Error('x');
    const peer = { role: 'ffn', rank: 1 } as const;
    const error = new WeftError('WEFT_PEER_LOST', 'gone', {
      phase: 'combine',
      peer,
      details: { n: 1 },
      cause,
    });
    expect(error).toMatchObject({ name: 'WeftError', code: 'WEFT_PEER_LOST', phase: 'combine', peer, cause });
    expect(error.details).toEqual({ n: 1 });
    expect(String(error)).toBe('WeftError: gone');
  });

  it('has no fields for what is not known', () => {
    expect(Object.keys(new WeftError('WEFT_STATE', 'x'))).toEqual(['code']);
    expect('cause' in new WeftError('WEFT_STATE', 'x', { cause: undefined })).toBe(false);
  });

  it('is recognised across two installed copies', async () => {
    vi.resetModules();
    const other = await import('../../../src/errors.js');
    expect(other.WeftError).not.toBe(WeftError);
    const error = new other.WeftError('WEFT_AUTH', 'x');
    expect(isWeftError(error)).toBe(true);
    expect(isWeftError(error, 'WEFT_AUTH')).toBe(true);
    expect(isWeftError(error, 'WEFT_STATE')).toBe(false);
    expect(error).toBeInstanceOf(WeftError);
  });

  it('does not take others for its own', () => {
    class Special extends WeftError {}
    expect(isWeftError(new Error('x'))).toBe(false);
    expect(isWeftError(null)).toBe(false);
    expect(isWeftError({ code: 'WEFT_AUTH' })).toBe(false);
    expect(new WeftError('WEFT_AUTH', 'x')).not.toBeInstanceOf(Special);
    expect(new Special('WEFT_AUTH', 'x')).toBeInstanceOf(Special);
    expect(new Special('WEFT_AUTH', 'x')).toBeInstanceOf(WeftError);
  });
});

describe('helpers', () => {
  it('invalidArgument names argument, given and allowed', () => {
    const error = invalidArgument('layout.hidden', -3, 'an integer, 1 or more');
    expect(error.message).toBe('layout.hidden must be an integer, 1 or more, but -3 was given');
    expect(error).toMatchObject({
      code: 'WEFT_INVALID_ARGUMENT',
      details: { argument: 'layout.hidden', given: -3 },
    });
  });

  it('deadlineError says what is missing and what next', () => {
    const error = deadlineError({
      phase: 'combine',
      deadlineMs: 5,
      missing: 'reply of ffn 1',
      next: 'look there',
    });
    expect(error.message).toBe('combine: within 5 ms there was no reply of ffn 1; look there');
    expect(error).toMatchObject({ code: 'WEFT_DEADLINE', phase: 'combine', details: { deadlineMs: 5 } });
  });

  it('abortedError keeps the reason', () => {
    const signal = AbortSignal.abort('enough');
    expect(abortedError(signal, 'join')).toMatchObject({
      code: 'WEFT_ABORTED',
      phase: 'join',
      cause: 'enough',
    });
  });

  it('systemError keeps errno and syscall', () => {
    const cause = Object.assign(new Error('nope'), { code: 'EACCES', syscall: 'open' });
    expect(systemError('cannot open', cause)).toMatchObject({
      code: 'WEFT_SYSTEM',
      message: 'cannot open: nope',
      details: { errno: 'EACCES', syscall: 'open' },
      cause,
    });
  });

  it('givenText is one short line', () => {
    expect(givenText('x'.repeat(500)).length).toBeLessThanOrEqual(120);
    expect(givenText({ a: [1, 2], b: new Float32Array(1000) })).not.toContain('\n');
  });
});
