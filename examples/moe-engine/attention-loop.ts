/**
 * The attention side's software pipeline. Micro-batches take turns; a turn takes in the experts' result for the layer
 * that the micro-batch was at, computes attention of the next one, and dispatches it. While one attends, the rounds of
 * the others travel or are computed by the FFN ranks.
 *
 * Invariant: micro-batch b holds the rounds whose generation is b + 1 modulo the number of micro-batches, one at a time,
 * and takes its turn even when it has no rows. So the slot that a turn claims is the one that the same turn released.
 */
import type { AttentionRound, Mesh } from 'tensorweft';
import type { AttentionReport } from './job.js';
import { encodeRequestIds, LOGITS, roundTag } from './layout.js';
import { MicroBatch } from './micro-batch.js';
import type { Decoder } from './model/decoder.js';
import type { Split } from './options.js';
import { type Generation, type Prompt, Request } from './request.js';
import { Scheduler } from './scheduler.js';

interface InFlight {
  readonly round: AttentionRound;
  readonly dispatchedAt: number;
  readonly dispatchMs: number;
}

export class AttentionLoop {
  readonly #mesh: Mesh;
  readonly #split: Split;
  readonly #signal: AbortSignal;
  readonly #scheduler: Scheduler;
  readonly #batches: MicroBatch[];
  readonly #inFlight: (InFlight | undefined)[];
  /** bf16 payload of the round being made; the slot's own memory takes it as it is or quantised. */
  readonly #x: Uint16Array;
  readonly #generations: Generation[] = [];
  readonly #roundTrip: number[] = [];
  readonly #exposed: number[] = [];
  #rounds = 0;
  #emptyRounds = 0;
  #rows = 0;
  #mostInFlight = 0;

  /** `decoder` takes at least split.maxTokens rows. */
  constructor(mesh: Mesh, decoder: Decoder, split: Split, prompts: readonly Prompt[], signal: AbortSignal) {
    this.#mesh = mesh;
    this.#split = split;
    this.#signal = signal;
    const requests = prompts.map((prompt) => new Request(prompt, decoder.config));
    this.#scheduler = new Scheduler(requests, split.microBatches, split.maxTokens);
    this.#batches = Array.from(
      { length: split.microBatches },
      (_, index) => new MicroBatch(index, decoder, split.maxTokens),
    );
    this.#inFlight = this.#batches.map(() => undefined);
    this.#x = new Uint16Array(split.maxTokens * decoder.config.hidden);
  }

  /** Generates every prompt. `onFinished` hears of each text as it ends. */
  async run(onFinished: (generation: Generation) => void): Promise<AttentionReport> {
    const startedAt = performance.timeOrigin + performance.now();
    while (this.#scheduler.unfinished > 0) {
      for (const batch of this.#batches) {
        await this.#receive(batch, onFinished);
        if (this.#scheduler.unfinished === 0) break;
        if (batch.stepOver) batch.begin(this.#scheduler);
        this.#send(batch);
      }
    }
    // What is still in flight has no rows, since nobody is unfinished; taking it in leaves every slot quiet.
    for (const batch of this.#batches) await this.#receive(batch, onFinished);
    return {
      generations: this.#generations,
      startedAt,
      endedAt: performance.timeOrigin + performance.now(),
      roundTrip: Float64Array.from(this.#roundTrip),
      exposed: Float64Array.from(this.#exposed),
      rounds: this.#rounds,
      emptyRounds: this.#emptyRounds,
      rows: this.#rows,
      mostInFlight: this.#mostInFlight,
    };
  }

  /** Attention of the layer, computed into the next slot, and its dispatch. */
  #send(batch: MicroBatch): void {
    const slot = this.#mesh.attention.claim({
      tokens: batch.rows,
      tag: roundTag(batch.layer, batch.index),
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
    this.#inFlight[batch.index] = { round, dispatchedAt, dispatchMs: performance.now() - dispatchedAt };
    this.#rounds++;
    this.#rows += batch.rows;
    if (batch.rows === 0) this.#emptyRounds++;
    const loaded = this.#batches.filter(({ index, rows }) => this.#inFlight[index] && rows > 0).length;
    this.#mostInFlight = Math.max(this.#mostInFlight, loaded);
  }

  /** Waits for the round of `batch`, if it has one, and takes its result in before the slot can be claimed again. */
  async #receive(batch: MicroBatch, onFinished: (generation: Generation) => void): Promise<void> {
    const flight = this.#inFlight[batch.index];
    if (!flight) return;
    this.#inFlight[batch.index] = undefined;
    const waitedFrom = performance.now();
    const out = await flight.round.combine({ deadlineMs: this.#split.deadlineMs, signal: this.#signal });
    const now = performance.now();
    // In its first step a micro-batch waits for code to be compiled, here and there, more than for anything else.
    if (batch.rows > 0 && batch.steps > 0) {
      this.#roundTrip.push((now - flight.dispatchedAt) * 1000);
      this.#exposed.push((flight.dispatchMs + now - waitedFrom) * 1000);
    }
    for (const request of batch.absorb(out.data as Uint16Array, this.#scheduler)) {
      const generation = request.result();
      this.#generations.push(generation);
      onFinished(generation);
    }
  }
}
