import type { ExchangeLayout, TransportName } from 'tensorweft';
import type { workload } from 'tensorweft/testing';
import { describe, expect, it } from 'vitest';
import { useClusters } from '../support/cluster.js';
import { betweenProcesses } from '../support/transports.js';

const { open } = useClusters();
const experts = { count: 12, topK: 3 };
const base = { hidden: 200, maxTokens: 11 };

const layouts: Record<string, ExchangeLayout> = {
  'bf16, sum': base,
  'fp8, routed, weighted, with columns': {
    ...base,
    experts,
    dispatch: { dtype: 'fp8e4m3', mode: 'routed' },
    combine: 'weighted',
    columns: [{ name: 'logits', dtype: 'f32', width: 5 }],
  },
  'f32, routed, sum': { ...base, experts, dispatch: { dtype: 'f32', mode: 'routed' } },
  'bytes, free replies': { ...base, dispatch: { dtype: 'u8' }, combine: 'none' },
};

const shapes: [attention: number, ffn: number, ...names: string[]][] = [
  [1, 1, 'bf16, sum', 'bytes, free replies'],
  [2, 2, 'fp8, routed, weighted, with columns'],
  [3, 2, 'bf16, sum'],
  [2, 3, 'f32, routed, sum'],
  [1, 4, 'fp8, routed, weighted, with columns'],
  [4, 1, 'f32, routed, sum'],
];

describe.each(betweenProcesses)('a process for each rank, over %s', (transport: TransportName) => {
  const runs = shapes.flatMap(([attention, ffn, ...names]) =>
    names.map((name) => ({ attention, ffn, name })),
  );

  it.each(runs)('$attention x $ffn: $name', async ({ attention, ffn, name }) => {
    const scenario: workload.Scenario = {
      attention,
      ffn,
      rounds: 30,
      layout: layouts[name]!,
      seed: attention,
    };
    const cluster = await open(scenario, transport);
    const serving = cluster.ffn.map((member) => member.tell('drive', { streamed: true, block: 4 }));
    await Promise.all(
      cluster.attention.map(async (member, rank) => {
        await member.tell('drive', { inFlight: 3, ...(rank % 2 === 1 && { block: 3 }) });
        await member.tell('close');
      }),
    );
    expect(await Promise.all(serving)).toEqual(Array(ffn).fill(attention * scenario.rounds));
  });

  it('with blocking waits on both sides', async () => {
    const scenario: workload.Scenario = { attention: 2, ffn: 2, rounds: 100, layout: base };
    const cluster = await open(scenario, transport);
    const serving = cluster.ffn.map((member) => member.tell('drive', { blocking: true, gather: 'all' }));
    await Promise.all(
      cluster.attention.map(async (member) => {
        await member.tell('drive', { blocking: true, inFlight: 2 });
        await member.tell('close');
      }),
    );
    expect(await Promise.all(serving)).toEqual([200, 200]);
  });
});
