import { abortedError, invalidArgument, type Phase } from '../errors.js';

/** Every wait takes these. */
export interface WaitOptions {
  /** Milliseconds until the wait ends with WEFT_DEADLINE; Infinity for no limit. Default: the mesh's `deadlineMs`. */
  deadlineMs?: number | undefined;
  /** Aborting ends the wait with WEFT_ABORTED; what it waited for goes on and can be waited for again. */
  signal?: AbortSignal | undefined;
}

/** Blocking waits: the event loop does not run meanwhile, so a signal is only looked at before. */
export interface BlockingOptions extends WaitOptions {
  /** Over a SharedArrayBuffer; another thread ends the wait by storing anything but 0 in element 0. */
  cancel?: Int32Array | undefined;
}

/** For the native side: milliseconds, negative for no limit. */
export function nativeDeadline(deadlineMs: number): number {
  if (typeof deadlineMs !== 'number' || Number.isNaN(deadlineMs) || deadlineMs < 0)
    throw invalidArgument('deadlineMs', deadlineMs, 'milliseconds, at least 0, or Infinity');
  return deadlineMs === Number.POSITIVE_INFINITY ? -1 : deadlineMs;
}

export function checkSignal(signal: AbortSignal | undefined, phase: Phase): void {
  if (signal === undefined) return;
  if (typeof signal !== 'object' || typeof signal?.addEventListener !== 'function')
    throw invalidArgument('signal', signal, 'an AbortSignal', { phase });
  if (signal.aborted) throw abortedError(signal, phase);
}

/** What collecting does about a peer that is gone: true to go on without it. */
export function skipsLost(onPeerLoss: 'error' | 'skip' = 'error'): boolean {
  if (onPeerLoss !== 'error' && onPeerLoss !== 'skip')
    throw invalidArgument('onPeerLoss', onPeerLoss, "'error' or 'skip'");
  return onPeerLoss === 'skip';
}

export function checkCancel(cancel: Int32Array | undefined): void {
  if (cancel === undefined) return;
  if (!(cancel instanceof Int32Array) || !(cancel.buffer instanceof SharedArrayBuffer) || cancel.length < 1)
    throw invalidArgument('cancel', cancel, 'an Int32Array over a SharedArrayBuffer, at least 1 long');
}
