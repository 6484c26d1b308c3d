/** The requests of one attention rank: who waits, and who joins a micro-batch that has room. */
import type { Request } from './request.js';

export class Scheduler {
  readonly #waiting: Request[];
  readonly #microBatches: number;
  readonly #perMicroBatch: number;
  #unfinished: number;

  /** At most `perMicroBatch` requests run in each of `microBatches`; the others wait for one to finish. */
  constructor(requests: readonly Request[], microBatches: number, perMicroBatch: number) {
    this.#waiting = [...requests];
    this.#microBatches = microBatches;
    this.#perMicroBatch = perMicroBatch;
    this.#unfinished = requests.length;
  }

  /** Requests that are waiting or running. */
  get unfinished(): number {
    return this.#unfinished;
  }

  /** Tells that one of the admitted requests is finished. */
  finish(): void {
    this.#unfinished--;
  }

  /**
   * The next request for a micro-batch that has `running` of them, if it should take one. Each takes its even share of
   * the unfinished, rounded up, so that few requests still spread over all micro-batches and overlap.
   */
  admit(running: number): Request | undefined {
    const share = Math.ceil(this.#unfinished / this.#microBatches);
    return running < Math.min(share, this.#perMicroBatch) ? this.#waiting.shift() : undefined;
  }
}
