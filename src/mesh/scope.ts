import { abortedError, invalidArgument, type Phase, type WeftError } from '../errors.js';

/** The longest delay a Node timer takes; about 24.8 days. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export interface ScopeOptions {
  /** Milliseconds from now; Infinity for no limit. */
  deadlineMs: number;
  /** The caller's. */
  signal?: AbortSignal | undefined;
  phase: Phase;
  /** Makes the error when the deadline passes, from what is known then. */
  expired: () => WeftError;
}

/**
 * The time in which something must happen. `signal` fires when the deadline passes or the caller aborts, and its reason
 * is the WeftError to throw. It must be closed, or the timer and the listener stay.
 */
export class Scope {
  readonly #controller: AbortController = new AbortController();
  readonly #endsAt: number;
  readonly #close: () => void;

  constructor({ deadlineMs, signal, phase, expired }: ScopeOptions) {
    if (!(typeof deadlineMs === 'number' && deadlineMs >= 0)) {
      throw invalidArgument('deadlineMs', deadlineMs, 'milliseconds, 0 or more, or Infinity', { phase });
    }
    this.#endsAt = performance.now() + deadlineMs;
    const limited = deadlineMs <= MAX_TIMER_MS;
    const timer = limited ? setTimeout(() => this.#controller.abort(expired()), deadlineMs) : undefined;
    const abort = (): void => {
      if (signal !== undefined) this.#controller.abort(abortedError(signal, phase));
    };
    signal?.addEventListener('abort', abort, { once: true });
    if (signal?.aborted) abort();
    this.#close = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
    };
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get remainingMs(): number {
    return Math.max(0, this.#endsAt - performance.now());
  }

  /** Settles as `promise` does, or rejects with the scope's reason, whichever is first. */
  race<T>(promise: Promise<T>): Promise<T> {
    const { signal } = this;
    return new Promise<T>((resolve, reject) => {
      const abort = (): void => reject(signal.reason);
      signal.addEventListener('abort', abort, { once: true });
      if (signal.aborted) abort();
      promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
    });
  }

  /** Rejects with the scope's reason when it ends first. */
  async sleep(ms: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const slept = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ms);
    });
    try {
      await this.race(slept);
    } finally {
      clearTimeout(timer);
    }
  }

  close(): void {
    this.#close();
  }
}
