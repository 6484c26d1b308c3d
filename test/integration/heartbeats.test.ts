/** Members whose threads block for many heartbeats: they answer no pings meanwhile, and are well all the same. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Coordinator, type CoordinatorOptions, startCoordinator, type TransportName } from 'tensorweft';
import type { workload } from 'tensorweft/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { failure } from '../support/failures.js';
import { join, Member } from '../support/member.js';
import { betweenProcesses } from '../support/transports.js';

const HEARTBEAT_MS = 20;
/** How long a member blocks: 30 heartbeats. */
const BLOCKED_MS = 600;
const scenario: workload.Scenario = {
  attention: 1,
  ffn: 1,
  rounds: 9,
  layout: { hidden: 32, maxTokens: 6, depth: 2 },
};
const coordinators: Coordinator[] = [];
const members: Member[] = [];
afterEach(async () => {
  await Promise.all(members.splice(0).map((member) => member.end()));
  await Promise.all(coordinators.splice(0).map((coordinator) => coordinator.close()));
});

/** A process for each rank; `lost` is whom the coordinator takes for lost. */
async function open(transport: TransportName, options: Partial<CoordinatorOptions>) {
  const coordinator = await startCoordinator({
    attention: 1,
    ffn: 1,
    heartbeatMs: HEARTBEAT_MS,
    ...options,
  });
  coordinators.push(coordinator);
  const lost: string[] = [];
  coordinator.on('lost', ({ role, rank }) => lost.push(`${role} ${rank}`));
  const attention = new Member('attention 0');
  const ffn = new Member('ffn 0');
  members.push(attention, ffn);
  const site = { coordinator, scenario, transport };
  await Promise.all([join(attention, site, 'attention', 0), join(ffn, site, 'ffn', 0)]);
  return { coordinator, lost, attention, ffn };
}

async function until(condition: () => boolean): Promise<void> {
  for (const end = performance.now() + 10_000; !condition() && performance.now() < end; ) await sleep(5);
  expect(condition()).toBe(true);
}

describe.each(betweenProcesses)('over %s', (transport) => {
  it('by default blocking waits outlast them: the mesh stays up, and every round is right', async () => {
    const { coordinator, lost, attention, ffn } = await open(transport, {});
    // Each side in turn blocks for long.
    for (const generation of [1, 2]) {
      const collecting = ffn.tell('collect', { blocking: true });
      await sleep(BLOCKED_MS);
      await attention.tell('dispatch', generation);
      expect(await collecting).toMatchObject([{ rank: 0, generation }]);
      const combining = attention.tell('combine', { generation, blocking: true });
      await sleep(BLOCKED_MS);
      await ffn.tell('reply', { rank: 0 });
      await combining;
    }
    expect(lost).toEqual([]);
    expect(coordinator.roster).toMatchObject({ epoch: 1, members: [{ role: 'attention' }, { role: 'ffn' }] });
  });

  it('a member that blocks past missedHeartbeats is lost to the coordinator, once', async () => {
    const { lost, attention, ffn } = await open(transport, { missedHeartbeats: 25 });
    const collecting = ffn.tell('collect', { blocking: true });
    await until(() => lost.length > 0);
    const gone = { code: 'WEFT_PEER_LOST' } as const;
    if (transport !== 'shm') {
      // Its peers give it up: it could be a host that vanished.
      await failure(collecting, { ...gone, phase: 'collect', peer: 'attention 0' });
      await attention.tell('dispatch', 1);
      const combining = attention.tell('combine', { generation: 1 });
      await failure(combining, { ...gone, phase: 'combine', peer: 'ffn 0' });
    } else {
      // For the data plane it is information, and the rounds go on.
      await attention.tell('dispatch', 1);
      await collecting;
      await ffn.tell('reply', { rank: 0 });
      await attention.tell('combine', { generation: 1 });
      const serving = ffn.tell('drive', {});
      await attention.tell('drive', { first: 2 });
      await attention.tell('close');
      expect(await serving).toBe(scenario.rounds - 1);
    }
    expect(lost).toEqual(['ffn 0']);
  });
});
