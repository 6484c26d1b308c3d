import type { Crew } from './crew.js';
import type { Measured } from './measured.js';
import type { Contender } from './protocol.js';

/** Rounds that one contender runs before the next has its turn. */
const TURN = 50;
const WARM_UP = 30;

/**
 * Runs the contenders in turns, in an order that rotates, so that none profits from when it ran: machines are shared,
 * and their speed drifts.
 */
export async function measure(
  crew: Crew,
  contenders: readonly Contender[],
  iterations: number,
  progress: (done: number, of: number) => void,
): Promise<Map<Contender, Measured>> {
  const results = new Map<Contender, Measured>(
    contenders.map((name) => [name, { samples: [], wrong: 0, sent: [] }]),
  );
  for (const contender of contenders) await crew.run(contender, Math.min(WARM_UP, iterations));
  const turns = Math.max(1, Math.round(iterations / TURN));
  for (let turn = 0; turn < turns; turn++) {
    const count = Math.floor((iterations * (turn + 1)) / turns) - Math.floor((iterations * turn) / turns);
    for (let i = 0; i < contenders.length; i++) {
      const contender = contenders[(i + turn) % contenders.length]!;
      const { samples, wrong, sent } = await crew.run(contender, count);
      const result = results.get(contender)!;
      result.samples.push(...samples);
      result.wrong += wrong;
      result.sent = sent.map((now, rank) => now.map((n, i) => n + (result.sent[rank]?.[i] ?? 0)));
    }
    progress(turn + 1, turns);
  }
  return results;
}
