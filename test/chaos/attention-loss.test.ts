/** An attention rank that dies, stops or leaves in each phase of a round, and what the FFN ranks make of it. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { TransportName } from 'tensorweft';
import { describe, expect, it } from 'vitest';
import { type Cluster, useClusters } from '../support/cluster.js';
import { AT_ONCE_MS, failure } from '../support/failures.js';
import { betweenProcesses } from '../support/transports.js';
import { scenario, theOtherCarriesOn } from '../support/two-by-two.js';

const { open } = useClusters();
const DEADLINE_MS = 500;

/** How far attention rank 0 is with round 1 when it happens; the FFN ranks are then waiting for a batch. */
type Phase = 'idle' | 'combining';

async function reach(phase: Phase, cluster: Cluster): Promise<void> {
  if (phase === 'idle') return;
  await cluster.attention[0]!.tell('dispatch', 1);
  for (const member of cluster.ffn) await member.tell('collect', {});
  void cluster.attention[0]!.tell('combine', { generation: 1 });
}

/** All FFN ranks wait for a batch, the second one blocking. */
const collects = (cluster: Cluster, options = {}): Promise<unknown>[] =>
  cluster.ffn.map((member, rank) => member.tell('collect', { ...options, blocking: rank === 1 }));

describe.each(betweenProcesses)('over %s', (transport: TransportName) => {
  describe.each(['idle', 'combining'] as const)('an attention rank, %s', (phase) => {
    it('is killed: noticed at once, a part of it may still be replied to, and the other carries on', async () => {
      const cluster = await open(scenario, transport);
      await reach(phase, cluster);
      const waiting = collects(cluster);
      await sleep(50);
      const since = cluster.attention[0]!.signal('SIGKILL');
      const lost = { code: 'WEFT_PEER_LOST', phase: 'collect', peer: 'attention 0' } as const;
      for (const wait of waiting) await failure(wait, { ...lost, since, withinMs: AT_ONCE_MS });
      // What it sent is still there to be read, and a reply to nobody does no harm.
      if (phase === 'combining') for (const member of cluster.ffn) await member.tell('reply', { rank: 0 });
      await theOtherCarriesOn(cluster);
    });

    it('is killed, and skipped: nobody is told', async () => {
      const cluster = await open(scenario, transport);
      await reach(phase, cluster);
      const serving = cluster.ffn.map((member) => member.tell('drive', { onPeerLoss: 'skip' }));
      await sleep(50);
      cluster.attention[0]!.signal('SIGKILL');
      await cluster.attention[1]!.tell('drive', {});
      await cluster.attention[1]!.tell('close');
      expect(await Promise.all(serving)).toEqual([scenario.rounds, scenario.rounds]);
    });

    it('leaves: it just sends no more', async () => {
      const cluster = await open(scenario, transport);
      await reach(phase, cluster);
      const waiting = collects(cluster, { gather: 'all' });
      await cluster.attention[0]!.tell('close');
      await cluster.attention[1]!.tell('dispatch', 1);
      const batch = [{ rank: 1, generation: 1, available: 0 }];
      expect(await Promise.all(waiting)).toEqual([batch, batch]);
      for (const member of cluster.ffn) await member.tell('reply', { rank: 1 });
      await cluster.attention[1]!.tell('combine', { generation: 1 });
      await cluster.attention[1]!.tell('close');
      expect(await Promise.all(collects(cluster))).toEqual([undefined, undefined]);
    });

    it('is stopped: the others go on, those who want all run into their deadline', async () => {
      const cluster = await open(scenario, transport);
      await reach(phase, cluster);
      const since = cluster.attention[0]!.signal('SIGSTOP');
      await cluster.attention[1]!.tell('dispatch', 1);
      const late = {
        code: 'WEFT_DEADLINE',
        phase: 'collect',
        since,
        withinMs: DEADLINE_MS + AT_ONCE_MS,
      } as const;
      for (const wait of collects(cluster, { gather: 'all', deadlineMs: DEADLINE_MS })) {
        const { details } = await failure(wait, late);
        expect(details!.waitingFor).toContainEqual({ role: 'attention', rank: 0 });
      }
      const batch = [{ rank: 1, generation: 1, available: 0 }];
      expect(await Promise.all(collects(cluster))).toEqual([batch, batch]);
      for (const member of cluster.ffn) await member.tell('reply', { rank: 1 });
      await cluster.attention[1]!.tell('combine', { generation: 1 });
      cluster.attention[0]!.signal('SIGCONT');
      if (phase === 'idle') await cluster.attention[0]!.tell('dispatch', 1);
      if (phase === 'idle') await Promise.all(collects(cluster));
      for (const member of cluster.ffn) await member.tell('reply', { rank: 0 });
      if (phase === 'idle') await cluster.attention[0]!.tell('combine', { generation: 1 });
    });
  });

  it('that dies in the middle of a streamed round: its part fails, the other carries on', async () => {
    const cluster = await open(scenario, transport);
    // Round 1 has no rows; round 2 is full.
    for (const generation of [1, 2]) {
      await cluster.attention[0]!.tell('begin', generation);
      if (generation === 2) await cluster.attention[0]!.tell('publish', { generation, rows: 3 });
      await Promise.all(collects(cluster, { streamed: true }));
      if (generation === 1) for (const member of cluster.ffn) await member.tell('reply', { rank: 0 });
    }
    const since = cluster.attention[0]!.signal('SIGKILL');
    const lost = { peer: 'attention 0', since, withinMs: AT_ONCE_MS } as const;
    for (const wait of collects(cluster))
      await failure(wait, { ...lost, code: 'WEFT_PEER_LOST', phase: 'collect' });
    for (const member of cluster.ffn)
      await failure(member.tell('reply', { rank: 0 }), { ...lost, code: 'WEFT_PEER_LOST' });
    await theOtherCarriesOn(cluster);
  });

  it('the death of one is nothing to the other', async () => {
    const cluster = await open(scenario, transport);
    const serving = cluster.ffn.map((member) => member.tell('drive', { onPeerLoss: 'skip' }));
    const driving = cluster.attention[1]!.tell('drive', { inFlight: 2 });
    await cluster.attention[0]!.tell('dispatch', 1);
    cluster.attention[0]!.signal('SIGKILL');
    await driving;
    await cluster.attention[1]!.tell('close');
    for (const parts of await Promise.all(serving)) expect(parts).toBeGreaterThanOrEqual(scenario.rounds);
  });
});
