import { describe, expect, it } from 'vitest';
import { nativeGather } from '../../../src/afd/gather.js';
import { checkCancel, checkSignal, nativeDeadline, skipsLost } from '../../../src/afd/wait.js';
import { rejects } from '../../../src/testing/rejects.js';
import { refuses } from '../../support/wrong.js';

describe('gather', () => {
  it('becomes kind, count and milliseconds', () => {
    expect(nativeGather('any', 4)).toEqual([0, 1, 0]);
    expect(nativeGather('all', 4)).toEqual([1, 4, 0]);
    expect(nativeGather({ atLeast: 4, withinMs: 0.5 }, 4)).toEqual([2, 4, 0.5]);
  });

  it('names what is wrong with it', async () => {
    for (const gather of ['some', 3, null, true])
      await refuses('gather', () => nativeGather(gather as never, 4));
    for (const atLeast of [0, 5, 1.5, '1', undefined])
      await refuses('gather.atLeast', () => nativeGather({ atLeast: atLeast as never, withinMs: 1 }, 4));
    for (const withinMs of [-1, Number.NaN, Infinity, '1', undefined])
      await refuses('gather.withinMs', () => nativeGather({ atLeast: 1, withinMs: withinMs as never }, 4));
  });
});

describe('waits', () => {
  it('take milliseconds, or Infinity', async () => {
    expect([0, 0.5, 1e9, Infinity].map(nativeDeadline)).toEqual([0, 0.5, 1e9, -1]);
    for (const ms of [-1, Number.NaN, -Infinity, '5', null, {}])
      await refuses('deadlineMs', () => nativeDeadline(ms as never));
  });

  it('take a signal, which may have fired already', async () => {
    checkSignal(undefined, 'combine');
    checkSignal(new AbortController().signal, 'combine');
    const error = await rejects(() => checkSignal(AbortSignal.abort('why'), 'combine'), 'WEFT_ABORTED', {
      phase: 'combine',
    });
    expect(error.cause).toBe('why');
    for (const signal of [null, 3, 'x', {}, new AbortController()])
      await refuses('signal', () => checkSignal(signal as never, 'collect'), { phase: 'collect' });
  });

  it('take a flag in shared memory', async () => {
    checkCancel(undefined);
    checkCancel(new Int32Array(new SharedArrayBuffer(4)));
    const notShared = [
      new Int32Array(1),
      new Uint32Array(new SharedArrayBuffer(4)),
      new SharedArrayBuffer(4),
      1,
      null,
    ];
    for (const cancel of [...notShared, new Int32Array(new SharedArrayBuffer(0))])
      await refuses('cancel', () => checkCancel(cancel as never));
  });

  it('know what to do about the lost', async () => {
    expect([undefined, 'error', 'skip'].map((value) => skipsLost(value as never))).toEqual([
      false,
      false,
      true,
    ]);
    for (const value of ['ignore', true, null]) await refuses('onPeerLoss', () => skipsLost(value as never));
  });
});
