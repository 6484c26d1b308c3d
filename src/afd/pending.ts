import type { Code } from '../native.js';

export interface Outcome {
  code: Code;
  /** Member id, -1 for nobody. */
  blamed: number;
}

/** One asynchronous wait: started natively, finished by the service thread's call. */
export class Pending {
  readonly promise: Promise<Outcome>;
  #resolve!: (outcome: Outcome) => void;

  /** `cancel` is called when the signal aborts before the end. */
  constructor(signal: AbortSignal | undefined, cancel: () => void) {
    this.promise = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    if (signal === undefined) return;
    signal.addEventListener('abort', cancel, { once: true });
    const settle = this.#resolve;
    this.#resolve = (outcome) => {
      signal.removeEventListener('abort', cancel);
      settle(outcome);
    };
  }

  end(code: Code, blamed: number): void {
    this.#resolve({ code, blamed });
  }
}
