import { equal } from 'node:assert/strict';
import type { JoinOptions } from '../mesh/join.js';
import { type AttentionWork, driveAttention, driveFfn, type FfnWork } from './drive.js';
import { openRig } from './rig.js';
import type { Scenario } from './scenario.js';

export interface Run {
  /** Of all attention ranks, or by rank. */
  attention?: AttentionWork | ((rank: number) => AttentionWork);
  ffn?: FfnWork;
  join: Partial<JoinOptions>;
}

/** Plays a scenario with all its members in this process, checking every byte on both sides. */
export async function play(scenario: Scenario, { attention, ffn, join }: Run): Promise<void> {
  await using rig = await openRig(scenario, join);
  const parts = await Promise.all([
    ...rig.ffn.map((mesh) => driveFfn(mesh, scenario, ffn)),
    ...rig.attention.map(async (mesh) => {
      await driveAttention(
        mesh,
        scenario,
        typeof attention === 'function' ? attention(mesh.rank) : attention,
      );
      await mesh.close();
      return undefined;
    }),
  ]);
  const expected = scenario.attention * scenario.rounds;
  for (const rank of rig.ffn.keys()) equal(parts[rank], expected, `parts that ffn ${rank} served`);
}
