/** One run of the split engine: a coordinator here, its ranks in processes beside it, and their reports put together. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Role, startCoordinator } from 'tensorweft';
import type { AttentionReport, FfnReport, RankReport } from './job.js';
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
 * Runs `prompts`, dealt out over the ranks that attend, and resolves when every process is gone. Rejects with the
 * RankFailure that is the cause, after stopping the others; `signal` stops them all.
 */
export async function runSplit(
  split: Split,
  weights: string,
  prompts: readonly Prompt[],
  signal: AbortSignal,
  onNote: (text: string) => void,
): Promise<SplitRun> {
  const { attention, ffn } = split;
  await using coordinator = await startCoordinator(split.ep ? { ep: ffn } : { attention, ffn });
  const ranks: RankProcess<RankReport>[] = [];
  const start = (role: Role, rank: number, own: readonly Prompt[]): RankProcess<RankReport> =>
    new RankProcess({
      name: `${role} ${rank}`,
      program: new URL(`./${role}-rank.js`, import.meta.url),
      job: { coordinator: coordinator.url, weights, rank, split, prompts: own },
      token: coordinator.token,
      onNote: (text) => onNote(`${role} ${rank}: ${text}`),
    });
  const stopAll = (): Promise<unknown> => Promise.all(ranks.map((rank) => rank.stop()));
  const onAbort = (): void => void stopAll();
  try {
    for (let rank = 0; rank < attention; rank++) {
      const own = prompts.filter((_, i) => i % attention === rank);
      ranks.push(start(split.ep ? 'ep' : 'attention', rank, own));
    }
    if (!split.ep) for (let rank = 0; rank < ffn; rank++) ranks.push(start('ffn', rank, []));
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    return merge(await Promise.all(ranks.map((rank) => rank.report)));
  } catch (error) {
    signal.throwIfAborted(); // ranks that were stopped fail; that is not news
    throw await cause(ranks, error);
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

function merge(reports: readonly RankReport[]): SplitRun {
  const attention = reports.flatMap((report) => report.attention ?? []);
  const busy = attention.filter((report) => report.generations.length > 0);
  const startedAt = Math.min(...busy.map((report) => report.startedAt));
  const endedAt = Math.max(...busy.map((report) => report.endedAt));
  return {
    generations: attention.flatMap((report) => report.generations).sort((a, b) => a.id - b.id),
    seconds: (endedAt - startedAt) / 1000,
    attention,
    ffn: reports.flatMap((report) => report.ffn ?? []),
  };
}
