import type { WaitOptions } from '../../afd/wait.js';

/** Performs the receive phase; after WEFT_DEADLINE or WEFT_ABORTED it may be called again. */
export type RecvHook = (options?: WaitOptions) => Promise<void>;

/**
 * The end of an operation. There are no streams here: what DeepEP lets the current stream wait for, the caller awaits.
 * Without `asyncFinish` an event has happened when it is returned.
 */
export class EventOverlap {
  readonly #wait: RecvHook | undefined;
  #result: Promise<void>;
  #failed = false;
  /** Somebody has asked for this result. */
  #told = false;

  /** `wait` may be called again after it has failed. @internal */
  constructor(wait?: RecvHook) {
    this.#wait = wait;
    this.#result = this.#start();
  }

  /**
   * Resolves when the operation has ended, and rejects as it did. Waiting again after that tries again, with `options`.
   */
  wait(options?: WaitOptions): Promise<void> {
    if (this.#failed && this.#told) this.#result = this.#start(options);
    this.#told = true;
    return this.#result;
  }

  /** The same as `wait()`. */
  currentStreamWait(options?: WaitOptions): Promise<void> {
    return this.wait(options);
  }

  #start(options?: WaitOptions): Promise<void> {
    this.#failed = false;
    this.#told = false;
    const result = this.#wait?.(options) ?? Promise.resolve();
    // Nobody may be waiting.
    result.catch(() => {
      this.#failed = true;
    });
    return result;
  }
}
