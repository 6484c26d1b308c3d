/** One rank as its parent sees it: started, listened to, stopped, and always reaped. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { type RankJob, type RankMessage, TOKEN_VARIABLE } from './job.js';

/** A rank that failed. `code` is the library's, when the error was one of its. */
export class RankFailure extends Error {
  readonly code: string | undefined;

  constructor(rank: string, code: string | undefined, text: string) {
    super(`${rank} failed${code === undefined ? '' : ` (${code})`}: ${text}`);
    this.name = 'RankFailure';
    this.code = code;
  }

  /** True for what a rank says when another one is the cause. */
  get isConsequence(): boolean {
    return ['WEFT_PEER_LOST', 'WEFT_PEER_CLOSED', 'WEFT_ABORTED', 'WEFT_DEADLINE'].includes(this.code ?? '');
  }
}

/** What to start. */
export interface RankStart {
  /** How errors and progress name it: role and rank, as in 'ffn 1'. */
  readonly name: string;
  /** A module that calls runRank(). */
  readonly program: URL;
  readonly job: RankJob;
  readonly token: string;
  /** Time between asking it to stop, or hearing its report, and killing it. Default 5 seconds. */
  readonly graceMs?: number;
  onNote(text: string): void;
}

export class RankProcess<Report> {
  /** The report of a process that ended well. Rejects with a RankFailure; in both cases the process is gone. */
  readonly report: Promise<Report>;
  readonly #name: string;
  readonly #graceMs: number;
  readonly #child: ChildProcess;
  /** Exited, and its last message delivered: the channel may close after the exit is known. */
  readonly #gone: Promise<unknown>;
  #killed = false;

  constructor({ name, program, job, token, graceMs = 5_000, onNote }: RankStart) {
    this.#name = name;
    this.#graceMs = graceMs;
    this.#child = fork(program, [JSON.stringify(job)], {
      env: { ...process.env, [TOKEN_VARIABLE]: token },
      serialization: 'advanced', // reports hold typed arrays
      stdio: ['ignore', 2, 2, 'ipc'], // stdout is the parent's, for results
    });
    this.#gone = Promise.all([once(this.#child, 'exit'), once(this.#child, 'disconnect')]);
    this.report = this.#listen(onNote);
    this.report.catch(() => {}); // whoever awaits it later still sees the rejection
  }

  /** Resolves when the process is gone: asked first, killed when it does not follow. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGTERM');
    await this.#endInTime();
  }

  async #listen(onNote: (text: string) => void): Promise<Report> {
    let last: Exclude<RankMessage<Report>, { kind: 'note' }> | undefined;
    this.#child.on('message', (message: RankMessage<Report>) => {
      if (message.kind === 'note') return onNote(message.text);
      last = message;
      void this.#endInTime();
    });
    try {
      await this.#gone;
    } catch (error) {
      throw new RankFailure(this.#name, undefined, `could not be started: ${(error as Error).message}`);
    }
    if (last?.kind === 'failure') throw new RankFailure(this.#name, last.code, last.text);
    const { exitCode, signalCode } = this.#child;
    if (last && exitCode === 0) return last.report;
    const ending = this.#killed
      ? `no end within ${this.#graceMs} ms`
      : (signalCode ?? `exit code ${exitCode}`);
    throw new RankFailure(
      this.#name,
      undefined,
      `${ending} ${last ? 'after its report' : 'before its report'}`,
    );
  }

  /** Resolves when the process is gone, for which it has the grace time. */
  async #endInTime(): Promise<void> {
    const timer = setTimeout(() => {
      this.#killed = true;
      this.#child.kill('SIGKILL');
    }, this.#graceMs);
    await this.#gone.catch(() => {});
    clearTimeout(timer);
  }
}
