/**
 * The attention side of a rank: its requests, in micro-batches that take turns, and the rounds that these have in flight.
 *
 * Invariant: micro-batch b holds the rounds whose generation is b + 1 modulo the number of micro-batches, one at a time,
 * and takes its turn even when it has no rows. So the slot that a turn claims is the one that the same turn released.
 */
import type { AttentionRound, AttentionSide } from 'tensorweft';
import type { AttentionReport, RankJob } from './job.js';
import { encodeRequestIds, LOGITS, roundTag } from './layout.js';
import { MicroBatch } from './micro-batch.js';
import type { Decoder } from './model/decoder.js';
import type { Split } from './options.js';
import type { RankContext } from './rank-main.js';
import { type Generation, Request } from './request.js';
import { Scheduler } from './scheduler.js';

interface InFlight {
  readonly round: AttentionRound;
  readonly dispatchedAt: number;
  /** Spent on it so far without anything else being done. */
  exposedMs: number;
}

/** What they need to know of the rank they belong to. */
export interface AttentionContext extends Pick<RankContext, 'signal' | 'note'> {
  readonly job: Pick<RankJob, 'split' | 'prompts'>;
}

export class AttentionRounds {
  readonly batches: readonly MicroBatch[];
  readonly #side: Pick<AttentionSide, 'claim'>;
  readonly #split: Split;
  readonly #context: AttentionContext;
  readonly #scheduler: Scheduler;
  readonly #inFlight: (InFlight | undefined)[];
  /** bf16 payload of the round being made; the slot's own memory takes it as it is or quantised. */
  readonly #x: Uint16Array;
  readonly #startedAt: number;
  readonly #generations: Generation[] = [];
  readonly #roundTrip: number[] = [];
  readonly #exposed: number[] = [];
  #rounds = 0;
  #emptyRounds = 0;
  #rows = 0;
  #mostInFlight = 0;

  /** `decoder` takes at least split.maxTokens rows. */
  constructor(side: Pick<AttentionSide, 'claim'>, decoder: Decoder, context: AttentionContext) {
    const { split, prompts } = context.job;
    this.#side = side;
    this.#split = split;
    this.#context = context;
    const requests = prompts.map((prompt) => new Request(prompt, decoder.config));
    this.#scheduler = new Scheduler(requests, split.microBatches, split.maxTokens);
    this.batches = Array.from(
      { length: split.microBatches },
      (_, index) => new MicroBatch(index, decoder, split.maxTokens),
    );
    this.#inFlight = this.batches.map(() => undefined);
    this.#x = new Uint16Array(split.maxTokens * decoder.config.hidden);
    this.#startedAt = unixTime();
  }

  /** True while there are requests that wait or run. */
  get unfinished(): boolean {
    return this.#scheduler.unfinished > 0;
  }

  /** Attention of the next layer, computed into the next slot, and its dispatch. */
  send(batch: MicroBatch): void {
    if (batch.stepOver) batch.begin(this.#scheduler);
    const slot = this.#side.claim({
      tokens: batch.rows,
      tag: roundTag(batch.layer, batch.index, this.unfinished),
      meta: encodeRequestIds(batch.requestIds),
    });
    if (batch.rows > 0) {
      const logits = slot.column(LOGITS) as Float32Array;
      batch.attend(this.#x, { logits, experts: slot.experts, weights: slot.weights });
    }
    const dispatchedAt = performance.now();
    if (batch.rows > 0) {
      const x = this.#x.subarray(0, batch.rows * (this.#x.length / this.#split.maxTokens));
      if (this.#split.dispatch === 'fp8') slot.quantize(x);
      else slot.write(x);
    }
    const round = slot.dispatch();
    this.#inFlight[batch.index] = { round, dispatchedAt, exposedMs: performance.now() - dispatchedAt };
    this.#rounds++;
    this.#rows += batch.rows;
    if (batch.rows === 0) this.#emptyRounds++;
    const loaded = this.batches.filter(({ index, rows }) => this.#inFlight[index] && rows > 0).length;
    this.#mostInFlight = Math.max(this.#mostInFlight, loaded);
  }

  /** Waits for `wanted`, without which the round of `batch` cannot go on. */
  async expose<T>(batch: MicroBatch, wanted: Promise<T>): Promise<T> {
    const from = performance.now();
    const got = await wanted;
    this.#inFlight[batch.index]!.exposedMs += performance.now() - from;
    return got;
  }

  /** Waits for the round of `batch`, if it has one, and takes its result in before the slot can be claimed again. */
  async receive(batch: MicroBatch): Promise<void> {
    const flight = this.#inFlight[batch.index];
    if (!flight) return;
    const { deadlineMs } = this.#split;
    const out = await this.expose(batch, flight.round.combine({ deadlineMs, signal: this.#context.signal }));
    this.#inFlight[batch.index] = undefined;
    // In its first step a micro-batch waits for code to be compiled, here and there, more than for anything else.
    if (batch.rows > 0 && batch.steps > 0) {
      this.#roundTrip.push((performance.now() - flight.dispatchedAt) * 1000);
      this.#exposed.push(flight.exposedMs * 1000);
    }
    for (const request of batch.absorb(out.data as Uint16Array, this.#scheduler)) {
      const generation = request.result();
      this.#generations.push(generation);
      this.#context.note(`prompt ${generation.id} finished after ${generation.tokens.length} tokens`);
    }
  }

  report(): AttentionReport {
    return {
      generations: this.#generations,
      startedAt: this.#startedAt,
      endedAt: unixTime(),
      roundTrip: Float64Array.from(this.#roundTrip),
      exposed: Float64Array.from(this.#exposed),
      rounds: this.#rounds,
      emptyRounds: this.#emptyRounds,
      rows: this.#rows,
      mostInFlight: this.#mostInFlight,
    };
  }
}

/** Milliseconds, with fractions. */
function unixTime(): number {
  return performance.timeOrigin + performance.now();
}
