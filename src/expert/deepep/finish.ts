import type { WaitOptions } from '../../afd/wait.js';
import { invalidArgument, type Phase } from '../../errors.js';
import { EventOverlap, type RecvHook } from './event.js';
import { checkFlag } from './nd-array.js';

/** How a call ends; at most one of the two. */
export interface FinishOptions extends WaitOptions {
  /** Return when everything is sent; `event` tells when the rest is done. Default false. */
  asyncFinish?: boolean;
  /** Return when everything is sent; `hook` does the rest when it is called. Default false. */
  returnRecvHook?: boolean;
}

export function checkFinish(
  { asyncFinish = false, returnRecvHook = false }: FinishOptions,
  phase: Phase,
): void {
  checkFlag('asyncFinish', asyncFinish, phase);
  checkFlag('returnRecvHook', returnRecvHook, phase);
  if (asyncFinish && returnRecvHook)
    throw invalidArgument('returnRecvHook', true, 'false where asyncFinish is true', { phase });
}

export interface Finished {
  event: EventOverlap;
  hook: RecvHook | null;
}

/**
 * Ends a call as its options say: now, in the background, or when the hook is called.
 * @param rest may be called again after it has failed
 * @param failed what else is to be done when a call fails that returns nothing to wait with
 */
export async function finish(
  { asyncFinish = false, returnRecvHook = false, deadlineMs, signal }: FinishOptions,
  rest: (options: WaitOptions) => Promise<void>,
  failed: (error: unknown) => void,
): Promise<Finished> {
  const once = onlyOnce(rest, { deadlineMs, signal });
  if (returnRecvHook) return { event: new EventOverlap(), hook: once };
  if (asyncFinish) return { event: new EventOverlap(once), hook: null };
  try {
    await once();
  } catch (error) {
    failed(error);
    throw error;
  }
  return { event: new EventOverlap(), hook: null };
}

/** Does nothing after it has succeeded; who calls while it is under way waits with the first. */
function onlyOnce(rest: (options: WaitOptions) => Promise<void>, given: WaitOptions): RecvHook {
  let done = false;
  let running: Promise<void> | undefined;
  return async (options = given) => {
    if (done) return;
    running ??= rest(options)
      .then(() => {
        done = true;
      })
      .finally(() => {
        running = undefined;
      });
    await running;
  };
}
