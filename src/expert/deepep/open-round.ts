import type { AttentionRound } from '../../afd/attention-round.js';
import type { CombineInputs } from '../../afd/combine-inputs.js';
import type { WaitOptions } from '../../afd/wait.js';
import { WeftError } from '../../errors.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { ExpertBatch } from '../batch.js';
import type { Exchange, Expected } from './exchange.js';

/** A round of ours: dispatched -> received -> replied -> combined. */
export class OpenRound implements Expected {
  readonly exchange: Exchange;
  batch: ExpertBatch | undefined;
  readonly #round: AttentionRound;
  #replied = false;
  /** The reply is out, and a combine has failed. */
  #again = false;
  #combined = false;

  constructor(exchange: Exchange, round: AttentionRound) {
    this.exchange = exchange;
    this.#round = round;
    exchange.expect(this);
  }

  get generation(): number {
    return this.#round.generation;
  }

  get tokens(): number {
    return this.#round.tokens;
  }

  /** Until its rows have come. */
  async receive(options: WaitOptions): Promise<ExpertBatch> {
    await this.exchange.receive(this, options);
    return this.batch!;
  }

  /** What it brought us, while it has not been replied to. */
  get open(): ExpertBatch {
    if (this.#replied) throw this.#wrongState('it was combined already: a handle serves one combine');
    if (this.batch === undefined)
      throw this.#wrongState(
        'its rows have not been received: await the hook, or the event, of the dispatch',
      );
    return this.batch;
  }

  /** The same, for a caller who gets nothing to wait with again. */
  async receiveOrBreak(options: WaitOptions): Promise<ExpertBatch> {
    try {
      return await this.receive(options);
    } catch (error) {
      this.exchange.break(error);
      throw error;
    }
  }

  /** Once; again without effect after a combine that was to be made again. */
  reply(write: (batch: ExpertBatch) => void): void {
    if (this.#again) {
      this.#again = false;
      return;
    }
    write(this.open);
    this.#replied = true;
  }

  /** The caller has nothing to wait with, and may make the same call again. */
  combineAgain(): void {
    this.#again = true;
  }

  /** Once. @returns [ranks] microseconds that each was waited for */
  async combine(into: Tensor, options: WaitOptions & CombineInputs): Promise<Float64Array> {
    if (this.#combined) return new Float64Array();
    await this.#round.combine({ ...options, into });
    this.#combined = true;
    return this.#round.waitedUs;
  }

  #wrongState(why: string): WeftError {
    return new WeftError('WEFT_STATE', `round ${this.generation} cannot be combined: ${why}`, {
      phase: 'combine',
    });
  }
}
