import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { closeSync } from 'node:fs';

/** The processes of a benchmark, one for each rank: each answers every command with one answer. */
export class Processes<Command extends object, Answer extends { error?: string }> {
  readonly #children: ChildProcess[];

  /** @param memory a descriptor of shared memory, which is theirs from here on: SHARED_FD in each */
  constructor(program: string, count: number, memory: number) {
    this.#children = Array.from({ length: count }, () =>
      fork(program, { serialization: 'advanced', stdio: ['ignore', 'inherit', 'inherit', 'ipc', memory] }),
    );
    closeSync(memory);
  }

  all(command: (rank: number) => Command): Promise<Answer[]> {
    return Promise.all(this.#children.map((_, rank) => this.ask(rank, command(rank))));
  }

  ask(rank: number, command: Command): Promise<Answer> {
    const child = this.#children[rank]!;
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

  /** Lets them end by themselves, within seconds. */
  async end(): Promise<void> {
    await Promise.all(
      this.#children.map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const gone = once(child, 'exit');
        if (child.connected) child.disconnect();
        const kill = setTimeout(() => child.kill('SIGKILL'), 3000);
        await gone;
        clearTimeout(kill);
      }),
    );
  }
}

/** The descriptor of the shared memory, in a rank's process. */
export const SHARED_FD = 4;

/** In a rank's process: answers the parent's commands until it is gone. `name` is who failed, in a failure's message. */
export function serveCommands<Command, Answer>(
  obey: (command: Command) => Promise<Answer>,
  name: () => string,
): void {
  process.on('message', (command: Command) => {
    obey(command).then(
      (answer) => process.send!(answer),
      (error: Error) => process.send!({ error: `${name()}: ${error.message}` }),
    );
  });
  process.on('disconnect', () => process.exit(0));
}
