/** Rounds that one contender runs before the next has its turn. */
const TURN = 50;
const WARM_UP = 30;

/**
 * Runs the contenders in turns, in an order that rotates, so that none profits from when it ran: machines are shared, and
 * their speed drifts. Returns what each turn of each contender gave.
 */
export async function inTurns<Contender, Result>(
  run: (contender: Contender, rounds: number) => Promise<Result>,
  contenders: readonly Contender[],
  iterations: number,
  progress: (done: number, of: number) => void,
): Promise<Map<Contender, Result[]>> {
  const results = new Map<Contender, Result[]>(contenders.map((name) => [name, []]));
  for (const contender of contenders) await run(contender, Math.min(WARM_UP, iterations));
  const turns = Math.max(1, Math.round(iterations / TURN));
  for (let turn = 0; turn < turns; turn++) {
    const count = Math.floor((iterations * (turn + 1)) / turns) - Math.floor((iterations * turn) / turns);
    for (let i = 0; i < contenders.length; i++) {
      const contender = contenders[(i + turn) % contenders.length]!;
      results.get(contender)!.push(await run(contender, count));
    }
    progress(turn + 1, turns);
  }
  return results;
}
