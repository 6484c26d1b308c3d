import { type ChildProcess, fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Role, TransportName } from 'tensorweft';
import type { workload } from 'tensorweft/testing';
import type { Answer, Commands, Failure } from '../processes/commands.js';

/** A command of a member process failed; carries what the process said of its error. */
export class MemberError extends Error {
  constructor(
    readonly failure: Failure,
    /** When it failed, in milliseconds of the epoch, by the member's clock. */
    readonly at: number,
  ) {
    super(failure.message);
  }
}

/** Compiled by `npx tsc -p tsconfig.programs.json`. */
export function program(name: string): string {
  const path = fileURLToPath(new URL(`../../out/js/test/processes/${name}.js`, import.meta.url));
  if (!existsSync(path)) throw new Error(`${path} is missing: run npx tsc -p tsconfig.programs.json`);
  return path;
}

/** Where and how a process runs; by default here, with our environment. */
export interface Place {
  /** In front of its command line. */
  enter?: readonly [string, ...string[]];
  env?: Readonly<Record<string, string>>;
}

/** A process that plays one rank, command by command. */
export class Member {
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  #commands = 0;
  #isGone = false;

  /** @param name for messages, such as the rank it plays */
  constructor(
    public name: string,
    { enter, env }: Place = {},
  ) {
    const [execPath, ...execArgv] = enter === undefined ? [process.execPath] : [...enter, process.execPath];
    this.#process = fork(program('member'), {
      serialization: 'advanced',
      env: { ...process.env, ...env },
      execPath: execPath!,
      execArgv,
    });
    this.#process.on('message', (answer: Answer) => {
      this.#waiting.get(answer.id)?.(answer);
      this.#waiting.delete(answer.id);
    });
    this.exited = new Promise((resolve) => {
      this.#process.once('exit', (code, signal) => {
        this.#isGone = true;
        const failure = { message: `${this.name} ended: ${signal ?? `exit code ${code}`}` };
        for (const [id, settle] of this.#waiting) settle({ id, failure, at: Date.now() });
        this.#waiting.clear();
        resolve({ code, signal });
      });
    });
  }

  get pid(): number {
    return this.#process.pid!;
  }
  get isGone(): boolean {
    return this.#isGone;
  }

  /** Rejects with a MemberError; a handler is attached, so a test may look at it late. */
  tell<Name extends keyof Commands>(
    name: Name,
    ...[argument]: Parameters<Commands[Name]>
  ): ReturnType<Commands[Name]> {
    const id = ++this.#commands;
    const answer = new Promise<unknown>((resolve, reject) => {
      this.#waiting.set(id, ({ value, failure, at }) => {
        if (failure === undefined) resolve(value);
        else reject(new MemberError({ ...failure, message: `${this.name}: ${failure.message}` }, at));
      });
      this.#process.send({ id, name, argument }, (error) => error && reject(error));
    });
    answer.catch(() => {});
    return answer as ReturnType<Commands[Name]>;
  }

  /** Only this process, which we have started. Returns the time, for comparing with `MemberError.at`. */
  signal(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): number {
    this.#process.kill(signal);
    return performance.timeOrigin + performance.now();
  }

  /** Lets the process end by itself, which it must do within a few seconds. */
  async end(): Promise<void> {
    if (this.#isGone) return;
    this.#process.disconnect();
    const late = setTimeout(() => this.#process.kill('SIGKILL'), 5000);
    await this.exited;
    clearTimeout(late);
  }
}

export interface Site {
  coordinator: { url: string; token: string };
  scenario: workload.Scenario | workload.ExpertScenario;
  transport: TransportName;
  deadlineMs?: number;
}

/** Tells a member to join as a rank; `host` is the address for its peers. */
export function join(
  member: Member,
  site: Site,
  role: Role,
  rank: number,
  host?: string,
): ReturnType<Commands['join']> {
  const { coordinator, scenario, transport, deadlineMs = 20_000 } = site;
  return member.tell('join', {
    coordinator: coordinator.url,
    token: coordinator.token,
    role,
    rank,
    scenario,
    transports: [transport],
    deadlineMs,
    heapBytes: 1 << 20,
    ...(host !== undefined && { host }),
  });
}
