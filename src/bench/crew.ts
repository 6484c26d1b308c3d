import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { type Coordinator, startCoordinator } from '../mesh/coordinator.js';
import type { TransportName } from '../mesh/transport-names.js';
import type { WaitPolicy } from '../mesh/wait-policy.js';
import { native } from '../native.js';
import type { Measured } from './measured.js';
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
  readonly #ranks: ChildProcess[];
  #base = 0;

  private constructor(shape: Shape, coordinator: Coordinator, ranks: ChildProcess[]) {
    this.shape = shape;
    this.#coordinator = coordinator;
    this.#ranks = ranks;
  }

  static async start(shape: Shape, transport: TransportName, wait: WaitPolicy): Promise<Crew> {
    const members = shape.attention + shape.ffn;
    const crowded = members > availableParallelism();
    const coordinator = await startCoordinator({ attention: shape.attention, ffn: shape.ffn });
    const memory = native.bench.shared(native.bench.floorBytes(nativeWorkload(shape)));
    const ranks = Array.from({ length: members }, () =>
      fork(PROGRAM, { serialization: 'advanced', stdio: ['ignore', 'inherit', 'inherit', 'ipc', memory] }),
    );
    closeSync(memory);
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
    const joined = await this.#all((member) => {
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
    const answers = await this.#all(() => ({ do: 'run', contender, iterations, base }));
    const samples = slowest(answers.slice(0, this.shape.attention).map((answer) => answer.samples!));
    return {
      samples,
      wrong: answers.reduce((sum, { wrong }) => sum + (wrong ?? 0), 0),
      sent: answers.map(({ sent }) => sent ?? [0, 0, 0]),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#all(() => ({ do: 'leave' })).catch(() => {});
    await Promise.all(
      this.#ranks.map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const gone = once(child, 'exit');
        if (child.connected) child.disconnect();
        const kill = setTimeout(() => child.kill('SIGKILL'), 3000);
        await gone;
        clearTimeout(kill);
      }),
    );
    await this.#coordinator.close();
  }

  async #connectSockets(): Promise<void> {
    const { attention } = this.shape;
    const ffn = this.#ranks.slice(attention);
    const listening = await Promise.all(ffn.map((child) => ask(child, { do: 'listen' })));
    const ports = listening.map((answer) => answer.port!);
    // One after another, so that every ffn rank has the attention ranks in the same order.
    for (const child of this.#ranks.slice(0, attention)) await ask(child, { do: 'connect', ports });
    await Promise.all(ffn.map((child) => ask(child, { do: 'accept' })));
  }

  #all(command: (member: number) => Command): Promise<Answer[]> {
    return Promise.all(this.#ranks.map((child, member) => ask(child, command(member))));
  }
}

function ask(child: ChildProcess, command: Command): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const died = (code: number | null, signal: string | null): void =>
      reject(new Error(`a benchmark rank ended early (${signal ?? `exit code ${code}`})`));
    child.once('exit', died);
    child.once('message', (answer: Answer) => {
      child.off('exit', died);
      if (answer.error === undefined) resolve(answer);
      else reject(new Error(answer.error));
    });
    if (child.exitCode !== null || child.signalCode !== null) died(child.exitCode, child.signalCode);
    else child.send(command, (error) => error && reject(error));
  });
}
