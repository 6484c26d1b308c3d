/** The mesh in which ranks are lost: two attention and two FFN ranks. */
import type { workload } from 'tensorweft/testing';
import { expect } from 'vitest';
import type { Cluster } from './cluster.js';

export const scenario: workload.Scenario = {
  attention: 2,
  ffn: 2,
  rounds: 9,
  layout: { hidden: 64, maxTokens: 8, depth: 2 },
};

/** All rounds of attention rank 1, every byte of them checked, whatever became of rank 0. */
export async function theOtherCarriesOn(cluster: Cluster): Promise<void> {
  const serving = cluster.ffn.map((member) => member.tell('drive', {}));
  await cluster.attention[1]!.tell('drive', { inFlight: 2 });
  await cluster.attention[1]!.tell('close');
  expect(await Promise.all(serving)).toEqual([scenario.rounds, scenario.rounds]);
}
