import type { ExchangeLayout } from '../../afd/layout.js';
import { closedError, invalidArgument } from '../../errors.js';
import { joinMesh } from '../../mesh/join.js';
import { DEPTH, Exchange } from './exchange.js';
import type { Group } from './group.js';

/** A layout whose shape a call has given. */
export type Shape = Pick<ExchangeLayout, 'hidden' | 'maxTokens' | 'combine'> &
  Required<Pick<ExchangeLayout, 'dispatch' | 'experts'>>;

/**
 * The exchanges of a buffer, one for each layout that its calls have had. The n-th to be opened is the n-th channel, so that
 * ranks that disagree on a layout meet, and are told in what they differ.
 */
export class Exchanges {
  readonly ranks: number;
  readonly rank: number;
  readonly #group: Group;
  readonly #byLayout: Map<string, Promise<Exchange>> = new Map();
  readonly #closing: AbortController = new AbortController();
  #next = 0;

  constructor(group: Group) {
    this.#group = group;
    this.ranks = group.size;
    this.rank = group.rank;
  }

  get closed(): boolean {
    return this.#closing.signal.aborted;
  }

  checkOpen(): void {
    if (this.closed) throw closedError('this buffer');
  }

  /** The exchange of this layout; it is opened when there is none yet. A failed opening is forgotten. */
  of(shape: Shape, signal: AbortSignal | undefined): Promise<Exchange> {
    this.checkOpen();
    const key = JSON.stringify(shape);
    const known = this.#byLayout.get(key);
    if (known !== undefined) return known;
    const opening = this.#open(shape, this.#next++, signal);
    this.#byLayout.set(key, opening);
    opening.catch(() => this.#byLayout.delete(key));
    return opening;
  }

  async close(): Promise<void> {
    this.#closing.abort(closedError('this buffer'));
    const opened = await Promise.allSettled(this.#byLayout.values());
    await Promise.all(
      opened.map((exchange) => (exchange.status === 'fulfilled' ? exchange.value.mesh.close() : undefined)),
    );
  }

  async #open(shape: Shape, number: number, signal: AbortSignal | undefined): Promise<Exchange> {
    const { size, rank, channel = 'deepep', deadlineMs = 10_000, ...options } = this.#group;
    const signals = [this.#closing.signal, options.signal, signal].filter((each) => each !== undefined);
    const mesh = await joinMesh({
      heapBytes: heapBytes(shape),
      ...options,
      role: 'ep',
      rank,
      channel: `${channel}/${number}`,
      layout: { depth: DEPTH, metaBytes: 0, ...shape },
      deadlineMs,
      signal: AbortSignal.any(signals),
    }).catch((error: unknown) => {
      this.checkOpen();
      throw error;
    });
    if (mesh.roster.ep !== size || this.closed) {
      await mesh.close();
      this.checkOpen();
      throw invalidArgument('group.size', size, `${mesh.roster.ep}, as the coordinator was started with`, {
        phase: 'join',
      });
    }
    return new Exchange(mesh, deadlineMs);
  }
}

/** For a result and two biases in bf16; only what is used takes memory. */
function heapBytes({ maxTokens, hidden }: Shape): number {
  return DEPTH * (maxTokens * hidden * 6 + 256);
}
