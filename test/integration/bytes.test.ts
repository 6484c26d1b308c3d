/** The same inputs give the same bytes on every transport, whatever arrives first. */
import { createHash } from 'node:crypto';
import type { Tensor, TransportName } from 'tensorweft';
import { play, type Scenario, type workload } from 'tensorweft/testing';
import { describe, expect, it } from 'vitest';
import { everyTransport } from '../support/transports.js';

const experts = { count: 8, topK: 3 };
const scenarios: [name: string, scenario: Scenario][] = [
  ['sum', { attention: 2, ffn: 3, rounds: 12, layout: { hidden: 130, maxTokens: 9 } }],
  [
    'weighted, of FP8, by experts',
    {
      attention: 3,
      ffn: 2,
      rounds: 12,
      layout: {
        hidden: 257,
        maxTokens: 9,
        experts,
        dispatch: { dtype: 'fp8e4m3', mode: 'routed' },
        combine: 'weighted',
      },
    },
  ],
];

/** One digest for all results of a run, in the order of ranks and rounds. */
async function digest(
  scenario: Scenario,
  transport: TransportName,
  block: number | undefined,
): Promise<string> {
  const results = new Map<string, Buffer>();
  const attention = (rank: number): workload.AttentionWork => ({
    inFlight: 3,
    ...(block && { block }),
    onResult: (generation, result) => {
      const { data } = result as Tensor;
      results.set(
        `${rank} ${generation}`,
        Buffer.from(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)),
      );
    },
  });
  await play(scenario, {
    join: { transports: [transport] },
    attention,
    ffn: { ...(block && { block, streamed: true }) },
  });
  const hash = createHash('sha256');
  for (const key of [...results.keys()].sort()) hash.update(key).update(results.get(key)!);
  expect(results.size).toBe(scenario.attention * scenario.rounds);
  return hash.digest('hex');
}

describe.each(scenarios)('%s', (_, scenario) => {
  it('is the same over all transports, whole and in blocks', async () => {
    const digests: string[] = [];
    for (const transport of everyTransport)
      for (const block of [undefined, 2]) digests.push(await digest(scenario, transport, block));
    expect(new Set(digests).size).toBe(1);
  });
});
