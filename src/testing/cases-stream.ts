import { equal, ok } from 'node:assert/strict';
import type { Cases } from './cases.js';
import { checkResult } from './drive.js';
import { claimRound, fillRows } from './fill.js';
import { openRig } from './rig.js';
import { play } from './run.js';
import { factsOf, type Scenario, tokensOf } from './scenario.js';
import { type Server, writeOutput } from './serve.js';

const experts = { count: 8, topK: 2 };
const base = { hidden: 48, maxTokens: 13 };
const streams = { attention: { block: 4, inFlight: 2 }, ffn: { streamed: true, block: 3 } };

/** Rounds and replies that are published block by block. */
export const streamCases: Cases = (join) => [
  ...(['all', 'routed'] as const).flatMap((mode) =>
    (['sum', 'weighted'] as const).map((combine) => ({
      name: `streamed both ways: ${mode}, ${combine}`,
      run: () =>
        play(
          { attention: 2, ffn: 2, rounds: 9, layout: { ...base, experts, combine, dispatch: { mode } } },
          { join, ...streams },
        ),
    })),
  ),
  {
    name: 'a streamed round at ranks that take whole rounds, and a whole reply',
    run: () =>
      play({ attention: 2, ffn: 2, rounds: 9, layout: base }, { join, attention: streams.attention }),
  },
  {
    name: 'a streamed round of FP8',
    run: () =>
      play(
        { attention: 1, ffn: 2, rounds: 9, layout: { ...base, dispatch: { dtype: 'fp8e4m3' } } },
        { join, ...streams },
      ),
  },
  { name: 'each block is there when it is published, and not before', run: () => blockByBlock(join) },
];

async function blockByBlock(join: Parameters<Cases>[0]): Promise<void> {
  const scenario: Scenario = { attention: 1, ffn: 1, rounds: 2, layout: { ...base, depth: 2 } };
  const facts = factsOf(scenario);
  await using rig = await openRig(scenario, join);
  const { attention, ffn } = { attention: rig.attention[0]!, ffn: rig.ffn[0]! };
  const server: Server = { facts, ffn: 1, rank: 0 };
  for (let generation = 1; generation <= scenario.rounds; generation++) {
    const tokens = tokensOf(facts, { rank: 0, generation });
    const slot = claimRound(attention.attention, facts, 0, generation);
    const round = slot.begin();
    const [part] = (await ffn.ffn.next({ streamed: true }))!.parts;
    ok(part !== undefined);
    equal(part.tokens, tokens);
    equal(part.available, 0);
    for (let row = 0; row < tokens; row += 5) {
      const end = Math.min(tokens, row + 5);
      fillRows(slot, facts, 0, row, end);
      equal(part.available, row);
      slot.publish(end);
      const until = performance.now() + 10_000;
      while (part.available < end && performance.now() < until)
        await new Promise((resolve) => setImmediate(resolve));
      equal(part.available, end);
      writeOutput(server, part, row, end);
      part.publish(end);
    }
    // The last block has ended both; saying so once more is allowed.
    slot.dispatch();
    part.reply();
    checkResult(attention, scenario, generation, await round.combine());
  }
}
