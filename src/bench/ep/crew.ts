import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { resolveLayout } from '../../afd/layout.js';
import { type Coordinator, startCoordinator } from '../../mesh/coordinator.js';
import type { TransportName } from '../../mesh/transport-names.js';
import type { WaitPolicy } from '../../mesh/wait-policy.js';
import { native } from '../../native.js';
import { Processes } from '../processes.js';
import { slowest } from '../statistics.js';
import type { EpAnswer, EpCommand, EpContender } from './protocol.js';
import { type EpShape, epLayout, nativeEpWork } from './shape.js';

const PROGRAM = fileURLToPath(new URL('./rank-main.js', import.meta.url));

/** What a contender's rounds gave: nanoseconds of the slowest rank. Sums are over all ranks. */
export interface EpMeasured {
  dispatch: number[];
  combine: number[];
  roundTrip: number[];
  wrong: number;
  rowsAway: number;
  choicesAway: number;
  sentBytes: number;
  /** Of the rank that takes most. */
  memoryBytes: number;
}

/** The ranks of a benchmark, each a process of its own; all contenders run in the same processes, one after another. */
export class EpCrew implements AsyncDisposable {
  readonly shape: EpShape;
  /** Every rank stays on a core of its own. */
  pinned = false;
  readonly #coordinator: Coordinator;
  readonly #ranks: Processes<EpCommand, EpAnswer>;
  #base = 0;

  private constructor(shape: EpShape, coordinator: Coordinator, ranks: Processes<EpCommand, EpAnswer>) {
    this.shape = shape;
    this.#coordinator = coordinator;
    this.#ranks = ranks;
  }

  static async start(shape: EpShape, transport: TransportName, wait: WaitPolicy): Promise<EpCrew> {
    resolveLayout(epLayout(shape), true); // what is wrong with it is said here, once
    const coordinator = await startCoordinator({ ep: shape.ranks });
    const memory = native.bench.shared(native.bench.epBytes(nativeEpWork(shape)));
    const crew = new EpCrew(shape, coordinator, new Processes(PROGRAM, shape.ranks, memory));
    try {
      await crew.#assemble(transport, wait);
      return crew;
    } catch (error) {
      await crew[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #assemble(transport: TransportName, wait: WaitPolicy): Promise<void> {
    const { shape } = this;
    const { url, token } = this.#coordinator;
    const crowded = shape.ranks > availableParallelism();
    const joined = await this.#ranks.all((rank) => {
      const core = crowded ? undefined : rank;
      return { do: 'join', start: { coordinator: url, token, shape, transport, wait, crowded, rank, core } };
    });
    this.pinned = joined.every(({ pinned }) => pinned);
    if (transport === 'tcp') await this.#connectSockets();
  }

  /** Each rank to those before it, one after another: so every rank has its sockets in the order of the ranks. */
  async #connectSockets(): Promise<void> {
    const ports = (await this.#ranks.all(() => ({ do: 'listen' }))).map(({ port }) => port!);
    for (let rank = 1; rank < ports.length; rank++) {
      await this.#ranks.ask(rank, { do: 'connect', ports: ports.slice(0, rank) });
      for (let other = 0; other < rank; other++) await this.#ranks.ask(other, { do: 'accept' });
    }
  }

  async run(contender: EpContender, iterations: number): Promise<EpMeasured> {
    const base = this.#base;
    this.#base += iterations;
    const answers = await this.#ranks.all(() => ({ do: 'run', contender, iterations, base }));
    const sum = (of: (answer: EpAnswer) => number): number =>
      answers.reduce((all, answer) => all + of(answer), 0);
    const both = ({ dispatch, combine }: EpAnswer): Float64Array =>
      dispatch!.map((ns, i) => ns + combine![i]!);
    return {
      dispatch: slowest(answers.map((answer) => answer.dispatch!)),
      combine: slowest(answers.map((answer) => answer.combine!)),
      roundTrip: slowest(answers.map(both)),
      wrong: sum((answer) => answer.wrong!),
      rowsAway: sum((answer) => answer.rowsAway!),
      choicesAway: sum((answer) => answer.choicesAway!),
      sentBytes: sum((answer) => answer.sentBytes!),
      memoryBytes: Math.max(...answers.map((answer) => answer.memoryBytes!)),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#ranks.all(() => ({ do: 'leave' })).catch(() => {});
    await this.#ranks.end();
    await this.#coordinator.close();
  }
}
