import type { Crew } from './crew.js';
import type { Measured } from './measured.js';
import type { Contender } from './protocol.js';
import { inTurns } from './turns.js';

export async function measure(
  crew: Crew,
  contenders: readonly Contender[],
  iterations: number,
  progress: (done: number, of: number) => void,
): Promise<Map<Contender, Measured>> {
  const run = (contender: Contender, rounds: number): Promise<Measured> => crew.run(contender, rounds);
  const turns = await inTurns(run, contenders, iterations, progress);
  return new Map([...turns].map(([name, results]) => [name, sumOf(results)]));
}

function sumOf(results: readonly Measured[]): Measured {
  const sent = results[0]!.sent.map((of, rank) =>
    of.map((_, i) => results.reduce((sum, result) => sum + result.sent[rank]![i]!, 0)),
  );
  const wrong = results.reduce((sum, result) => sum + result.wrong, 0);
  return { samples: results.flatMap(({ samples }) => samples), wrong, sent };
}
