/** The frame of a rank's program: reads its job, runs it, reports over IPC, and never outlives its parent. */
import { type RankJob, type RankMessage, type RankReport, TOKEN_VARIABLE } from './job.js';

export interface RankContext {
  readonly job: RankJob;
  readonly token: string;
  /** Aborted when the parent goes away or asks this process to stop. */
  readonly signal: AbortSignal;
  /** One line of progress for the parent to show. */
  note(text: string): void;
}

/** Runs `main` with the job in argv and sends its report to the parent; a failure is sent too and becomes exit code 1. */
export async function runRank(main: (context: RankContext) => Promise<RankReport>): Promise<void> {
  const stop = new AbortController();
  const abort = (): void => stop.abort(new Error('the parent process stopped this rank'));
  process.once('disconnect', abort);
  process.once('SIGTERM', abort);
  // A terminal sends SIGINT to parent and ranks alike; what it means is the parent's decision.
  process.on('SIGINT', () => {});
  let message: RankMessage<RankReport>;
  try {
    const json = process.argv[2];
    const token = process.env[TOKEN_VARIABLE];
    if (json === undefined || token === undefined) {
      throw new Error(
        `a rank is started by main.js, with its job in argv and the mesh token in ${TOKEN_VARIABLE}`,
      );
    }
    const note = (text: string): void => {
      process.send?.({ kind: 'note', text } satisfies RankMessage<RankReport>);
    };
    const job = JSON.parse(json) as RankJob;
    message = { kind: 'report', report: await main({ job, token, signal: stop.signal, note }) };
  } catch (error) {
    process.exitCode = 1;
    const { code } = error as { code?: string };
    message = {
      kind: 'failure',
      code,
      text: error instanceof Error ? (error.stack ?? error.message) : String(error),
    };
  }
  process.off('disconnect', abort);
  if (!process.connected) {
    if (message.kind === 'failure' && !stop.signal.aborted) console.error(message.text);
    return;
  }
  // Closing the channel before the message is out could lose it; leaving it open would keep this process alive.
  await new Promise<void>((sent) => process.send!(message, () => sent()));
  if (process.connected) process.disconnect();
}
