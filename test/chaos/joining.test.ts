/** Members that go away while a mesh is being put together. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { TransportName } from 'tensorweft';
import type { workload } from 'tensorweft/testing';
import { describe, expect, it } from 'vitest';
import { type Cluster, useClusters } from '../support/cluster.js';
import { AT_ONCE_MS, failure } from '../support/failures.js';
import { join, Member } from '../support/member.js';
import { betweenProcesses } from '../support/transports.js';

const { start } = useClusters();
const scenario: workload.Scenario = { attention: 2, ffn: 2, rounds: 4, layout: { hidden: 16, maxTokens: 4 } };
type Role = 'attention' | 'ffn';
const other = (role: Role): Role => (role === 'ffn' ? 'attention' : 'ffn');

/** Tells ranks to join, and waits until the coordinator has them. */
async function enter(cluster: Cluster, ranks: [Role, number][]): Promise<Promise<unknown>[]> {
  const joins = ranks.map(([role, rank]) => join(cluster[role][rank]!, cluster, role, rank));
  const here = (): boolean =>
    ranks.every(([role, rank]) =>
      cluster.coordinator.roster.members.some((member) => member.role === role && member.rank === rank),
    );
  const until = performance.now() + 15_000;
  while (!here() && performance.now() < until) await sleep(5);
  expect(here()).toBe(true);
  return joins;
}

async function run(cluster: Cluster, attention: Member[], ffn: Member[]): Promise<void> {
  const serving = ffn.map((member) => member.tell('drive', {}));
  await Promise.all(attention.map((member) => member.tell('drive', {}).then(() => member.tell('close'))));
  expect(await Promise.all(serving)).toEqual(ffn.map(() => cluster.attention.length * scenario.rounds));
}

describe.each(betweenProcesses)('over %s', (transport: TransportName) => {
  it.each(['attention', 'ffn'] as const)(
    '%s 0 is killed while others are missing: its rank is free again',
    async (role) => {
      const cluster = await start(scenario, transport);
      const waiting = await enter(cluster, [
        [other(role), 0],
        [role, 1],
        [role, 0],
      ]);
      cluster[role][0]!.signal('SIGKILL');
      await expect(waiting[2]).rejects.toThrow('SIGKILL');
      const replacement = new Member(`the other ${role} 0`);
      await Promise.all([
        waiting[0],
        waiting[1],
        join(cluster[other(role)][1]!, cluster, other(role), 1),
        join(replacement, cluster, role, 0),
      ]);
      const members = { ...cluster, [role]: [replacement, cluster[role][1]!] };
      await run(cluster, members.attention, members.ffn);
      await replacement.end();
    },
  );

  // A stopped process stays in the roster, and answers nobody.
  describe.each(['attention', 'ffn'] as const)('%s 0 while it connects', (role) => {
    const ranks: [Role, number][] = [
      [role, 0],
      [role, 1],
      [other(role), 0],
    ];

    async function connecting(deadlineMs: number) {
      const cluster = await start(scenario, transport, deadlineMs);
      const [victim, second, third] = await enter(cluster, ranks);
      cluster[role][0]!.signal('SIGSTOP');
      const complete = new Promise((resolve) => cluster.coordinator.on('complete', resolve));
      const last = join(cluster[other(role)][1]!, cluster, other(role), 1);
      await complete;
      return { cluster, victim: victim!, peers: [third!, last], sibling: second! };
    }

    it('is killed: its peers notice at once; those who are connected learn of it by their leaving', async () => {
      const { cluster, victim, peers, sibling } = await connecting(20_000);
      await sleep(200);
      const since = cluster[role][0]!.signal('SIGKILL');
      const lost = { code: 'WEFT_PEER_LOST', phase: 'connect', peer: `${role} 0` } as const;
      for (const peer of peers) await failure(peer, { ...lost, since, withinMs: AT_ONCE_MS });
      await expect(victim).rejects.toThrow('SIGKILL');
      await sibling;
      const left = cluster[role][1]!;
      if (role === 'ffn') expect(await left.tell('collect', {})).toBeUndefined();
      else {
        await left.tell('dispatch', 1);
        await failure(left.tell('combine', { generation: 1 }), {
          code: 'WEFT_PEER_CLOSED',
          phase: 'combine',
        });
      }
    });

    it('is stopped: its peers run into their deadline, and name it', async () => {
      const { cluster, victim, peers } = await connecting(1500);
      // The one that waited longest gives up first; the others then learn of it by its leaving.
      const codes = new Set<string | undefined>();
      for (const peer of peers) {
        await peer.catch((error) => {
          const { failure } = error;
          codes.add(failure.code);
          expect(['WEFT_DEADLINE', 'WEFT_PEER_CLOSED']).toContain(failure.code);
          expect(failure.phase).toBe('connect');
          if (failure.code === 'WEFT_DEADLINE') expect(failure.peer).toEqual({ role, rank: 0 });
        });
      }
      expect(codes).toContain('WEFT_DEADLINE');
      cluster[role][0]!.signal('SIGCONT');
      await expect(victim).rejects.toThrow();
    });
  });
});
