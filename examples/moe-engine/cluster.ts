/** One run of the split engine: a coordinator here, M + N processes beside it, and their reports put together. */
import { setTimeout as sleep } from 'node:timers/promises';
import { startCoordinator } from 'tensorweft';
import type { AttentionReport, FfnReport } from './job.js';
import type { Split } from './options.js';
import { RankFailure, RankProcess } from './rank-process.js';
import type { Generation, Prompt } from './request.js';

export interface SplitRun {
  /** In the order of the prompts. */
  readonly generations: Generation[];
  /** From the first step of any attention rank to the last; joining and loading are not in it. */
  readonly seconds: number;
  readonly attention: AttentionReport[];
  readonly ffn: FfnReport[];
}

/**
 * Runs `prompts`, dealt out over the attention ranks, and resolves when every process is gone. Rejects with the
 * RankFailure that is the cause, after stopping the others; `signal` stops them all.
 */
export async function runSplit(
  split: Split,
  weights: string,
  prompts: readonly Prompt[],
  signal: AbortSignal,
  onNote: (text: string) => void,
): Promise<SplitRun> {
  await using coordinator = await startCoordinator({ attention: split.attention, ffn: split.ffn });
  const attention: RankProcess<AttentionReport>[] = [];
  const ffn: RankProcess<FfnReport>[] = [];
  const start = <Report>(
    role: 'attention' | 'ffn',
    rank: number,
    own: readonly Prompt[],
  ): RankProcess<Report> =>
    new RankProcess<Report>({
      name: `${role} ${rank}`,
      program: new URL(`./${role}-rank.js`, import.meta.url),
      job: { coordinator: coordinator.url, weights, rank, split, prompts: own },
      token: coordinator.token,
      onNote: (text) => onNote(`${role} ${rank}: ${text}`),
    });
  const stopAll = (): Promise<unknown> => Promise.all([...attention, ...ffn].map((rank) => rank.stop()));
  const onAbort = (): void => void stopAll();
  try {
    for (let rank = 0; rank < split.attention; rank++) {
      const own = prompts.filter((_, i) => i % split.attention === rank);
      attention.push(start<AttentionReport>('attention', rank, own));
    }
    for (let rank = 0; rank < split.ffn; rank++) ffn.push(start<FfnReport>('ffn', rank, []));
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    const reports = Promise.all([Promise.all(attention.map(reportOf)), Promise.all(ffn.map(reportOf))]);
    return merge(...(await reports));
  } catch (error) {
    signal.throwIfAborted(); // ranks that were stopped fail; that is not news
    throw await cause([...attention, ...ffn], error);
  } finally {
    signal.removeEventListener('abort', onAbort);
    await stopAll();
  }
}

/**
 * A rank that breaks makes others fail, and one of those may be heard of first: gives all a moment to say what happened
 * to them, and prefers who does not blame a peer.
 */
async function cause(ranks: readonly RankProcess<unknown>[], first: unknown): Promise<unknown> {
  const failures: unknown[] = [];
  const settled = ranks.map((rank) => rank.report.catch((error: unknown) => failures.push(error)));
  await Promise.race([Promise.all(settled), sleep(1_000)]);
  return failures.find((error) => error instanceof RankFailure && !error.isConsequence) ?? first;
}

function reportOf<Report>(rank: RankProcess<Report>): Promise<Report> {
  return rank.report;
}

function merge(attention: AttentionReport[], ffn: FfnReport[]): SplitRun {
  const busy = attention.filter((report) => report.generations.length > 0);
  const startedAt = Math.min(...busy.map((report) => report.startedAt));
  const endedAt = Math.max(...busy.map((report) => report.endedAt));
  return {
    generations: attention.flatMap((report) => report.generations).sort((a, b) => a.id - b.id),
    seconds: (endedAt - startedAt) / 1000,
    attention,
    ffn,
  };
}
