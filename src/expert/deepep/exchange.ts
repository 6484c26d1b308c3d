import type { AttentionSlot } from '../../afd/attention-slot.js';
import type { WaitOptions } from '../../afd/wait.js';
import { deadlineError, WeftError } from '../../errors.js';
import type { Mesh } from '../../mesh/mesh.js';
import { Scope } from '../../mesh/scope.js';
import type { DType } from '../../tensor/dtype.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { ExpertBatch } from '../batch.js';

/** Rounds of an exchange that may be in flight. */
export const DEPTH = 4;

/** A dispatched round that waits for what all ranks sent in it. */
export interface Expected {
  readonly generation: number;
  batch: ExpertBatch | undefined;
}

/** A mesh of one layout, whose rounds are received in the order in which they were dispatched. */
export class Exchange {
  readonly mesh: Mesh;
  readonly #deadlineMs: number;
  readonly #expected: Expected[] = [];
  readonly #tensors: Map<string, Tensor> = new Map();
  #receiving: Promise<void> | undefined;
  #broken: unknown;

  /** `deadlineMs`: the default of its waits. */
  constructor(mesh: Mesh, deadlineMs: number) {
    this.mesh = mesh;
    this.#deadlineMs = deadlineMs;
  }

  claim(tokens: number): AttentionSlot {
    if (this.#broken !== undefined)
      throw new WeftError(
        'WEFT_STATE',
        'an earlier call has failed after its round was dispatched, so this rank is out of step: destroy the buffer',
        { phase: 'dispatch', cause: this.#broken },
      );
    return this.mesh.ep.claim({ tokens });
  }

  /** Follows the dispatch of each round, in order. */
  expect(round: Expected): void {
    this.#expected.push(round);
  }

  /** A round is out that nobody can receive any more. */
  break(cause: unknown): void {
    this.#broken ??= cause;
  }

  /** Registered memory of a slot, for one thing: [maxTokens, hidden]. */
  tensorOf(generation: number, what: string, dtype: DType = 'bf16'): Tensor {
    const key = `${what} ${generation % DEPTH}`;
    const { maxTokens, hidden } = this.mesh.layout;
    const tensor = this.#tensors.get(key) ?? this.mesh.tensor(dtype, [maxTokens, hidden]);
    this.#tensors.set(key, tensor);
    return tensor;
  }

  /** Until `round` has its batch. Rounds before it are received, too. */
  async receive(round: Expected, options: WaitOptions): Promise<void> {
    // Who comes while another receives may find its round received then.
    while (round.batch === undefined && this.#receiving !== undefined) await this.#turn(options);
    if (round.batch !== undefined) return;
    const receiving = this.#receive(round, options);
    this.#receiving = receiving.catch(() => {});
    try {
      await receiving;
    } finally {
      this.#receiving = undefined;
    }
  }

  async #receive(round: Expected, options: WaitOptions): Promise<void> {
    while (round.batch === undefined) {
      this.#expected[0]!.batch = await this.mesh.ep.next(options);
      this.#expected.shift();
    }
  }

  async #turn({ deadlineMs = this.#deadlineMs, signal }: WaitOptions): Promise<void> {
    const expired = (): WeftError =>
      deadlineError({ phase: 'collect', deadlineMs, missing: 'end of a receive that is under way' });
    const scope = new Scope({ deadlineMs, signal, phase: 'collect', expired });
    try {
      await scope.race(this.#receiving!);
    } finally {
      scope.close();
    }
  }
}
