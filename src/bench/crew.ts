import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { type Coordinator, startCoordinator } from '../mesh/coordinator.js';
import type { TransportName } from '../mesh/transport-names.js';
import type { WaitPolicy } from '../mesh/wait-policy.js';
import { native } from '../native.js';
import type { Measured } from './measured.js';
import { Processes } from './processes.js';
import type { Answer, Command, Contender } from './protocol.js';
import { slowest } from './statistics.js';
import { nativeWorkload, type Shape } from './workload.js';

const PROGRAM = fileURLToPath(new URL('./rank-main.js', import.meta.url));

/** The ranks of a benchmark, each a process of its own; all contenders run in the same processes, one after another. */
export class Crew implements AsyncDisposable {
  readonly shape: Shape;
  /** Every rank stays on a core of its own. */
  pinned = false;
  readonly #coordinator: Coordinator;
  readonly #ranks: Processes<Command, Answer>;
  #base = 0;

  private constructor(shape: Shape, coordinator: Coordinator, ranks: Processes<Command, Answer>) {
    this.shape = shape;
    this.#coordinator = coordinator;
    this.#ranks = ranks;
  }

  static async start(shape: Shape, transport: TransportName, wait: WaitPolicy): Promise<Crew> {
    const members = shape.attention + shape.ffn;
    const crowded = members > availableParallelism();
    const coordinator = await startCoordinator({ attention: shape.attention, ffn: shape.ffn });
    const memory = native.bench.shared(native.bench.floorBytes(nativeWorkload(shape)));
    const ranks = new Processes<Command, Answer>(PROGRAM, members, memory);
    const crew = new Crew(shape, coordinator, ranks);
    try {
      await crew.#assemble(transport, wait, crowded);
      return crew;
    } catch (error) {
      await crew[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #assemble(transport: TransportName, wait: WaitPolicy, crowded: boolean): Promise<void> {
    const { shape } = this;
    const { url, token } = this.#coordinator;
    const joined = await this.#ranks.all((member) => {
      const isAttention = member < shape.attention;
      const rank = isAttention ? member : member - shape.attention;
      const core = crowded ? undefined : member;
      const common = { coordinator: url, token, shape, transport, wait, crowded };
      return { do: 'join', start: { ...common, isAttention, rank, core } };
    });
    this.pinned = joined.every(({ pinned }) => pinned);
    if (transport === 'tcp') await this.#connectSockets();
  }

  /** Runs one contender for some rounds: the slowest attention rank of each round, in nanoseconds. */
  async run(contender: Contender, iterations: number): Promise<Measured> {
    const base = this.#base;
    this.#base += iterations;
    const answers = await this.#ranks.all(() => ({ do: 'run', contender, iterations, base }));
    const samples = slowest(answers.slice(0, this.shape.attention).map((answer) => answer.samples!));
    return {
      samples,
      wrong: answers.reduce((sum, { wrong }) => sum + (wrong ?? 0), 0),
      sent: answers.map(({ sent }) => sent ?? [0, 0, 0]),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#ranks.all(() => ({ do: 'leave' })).catch(() => {});
    await this.#ranks.end();
    await this.#coordinator.close();
  }

  async #connectSockets(): Promise<void> {
    const { attention, ffn } = this.shape;
    const all = (first: number, count: number): number[] =>
      Array.from({ length: count }, (_, i) => first + i);
    const ffnRanks = all(attention, ffn);
    const listening = await Promise.all(ffnRanks.map((rank) => this.#ranks.ask(rank, { do: 'listen' })));
    const ports = listening.map((answer) => answer.port!);
    // One after another, so that every ffn rank has the attention ranks in the same order.
    for (const rank of all(0, attention)) await this.#ranks.ask(rank, { do: 'connect', ports });
    await Promise.all(ffnRanks.map((rank) => this.#ranks.ask(rank, { do: 'accept' })));
  }
}
