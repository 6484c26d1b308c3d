export interface HeartbeatOptions {
  intervalMs: number;
  /** Intervals without a sign of life after which the other side is given up. */
  missed: number;
  /** Called each interval: asks for a sign of life. */
  beat?: () => void;
  /** Called once. */
  lost: () => void;
}

/**
 * Watches for signs of life of the other side. Silence is counted in ticks of our own timer, not read off a clock: when
 * this process's event loop was blocked for a while, one tick fires, and what arrived meanwhile is read before the next.
 */
export class Heartbeat {
  readonly #timer: NodeJS.Timeout;
  #silent = 0;

  constructor({ intervalMs, missed, beat, lost }: HeartbeatOptions) {
    this.#timer = setInterval(() => {
      if (this.#silent >= missed) {
        this.stop();
        lost();
        return;
      }
      this.#silent += 1;
      beat?.();
    }, intervalMs);
  }

  /** A sign of life was received. */
  alive(): void {
    this.#silent = 0;
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
