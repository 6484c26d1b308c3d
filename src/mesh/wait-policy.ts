import { invalidArgument } from '../errors.js';
import type { NativeEndpointOptions } from '../native.js';

/**
 * How a wait passes the time: it spins for a while, then yields its core again and again, then sleeps until a peer
 * rings. 'adaptive' does not spin when more members than cores wait on this host; 'spin' never stops spinning, for
 * ranks with a core of their own; 'yield' never sleeps; 'park' sleeps at once.
 */
export interface WaitPolicy {
  mode?: 'adaptive' | 'spin' | 'yield' | 'park';
  /** Microseconds of spinning. Default 100. */
  spinUs?: number;
  /** Microseconds of yielding after that. Default 2000. */
  yieldUs?: number;
}

const MODES = ['adaptive', 'spin', 'yield', 'park'] as const; // in the order of native WaitMode

export function resolveWait(wait: WaitPolicy = {}, pollers: number): NativeEndpointOptions['wait'] {
  const { mode = 'adaptive', spinUs = 100, yieldUs = 2000 } = wait;
  if (!MODES.includes(mode)) throw invalidArgument('wait.mode', mode, `one of '${MODES.join("', '")}'`);
  for (const [name, value] of Object.entries({ spinUs, yieldUs }))
    if (typeof value !== 'number' || !(value >= 0) || value > 1e9)
      throw invalidArgument(`wait.${name}`, value, 'microseconds, 0 to 1e9');
  return { mode: MODES.indexOf(mode), pollers, spinUs, yieldUs };
}
