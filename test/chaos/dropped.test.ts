/** A stopped attention rank that the FFN ranks give up, in each phase of a round, and one that waits for it to end. */
import type { TransportName } from 'tensorweft';
import { describe, expect, it } from 'vitest';
import { type Cluster, useClusters } from '../support/cluster.js';
import { AT_ONCE_MS, failure } from '../support/failures.js';
import { betweenProcesses } from '../support/transports.js';
import { scenario, theOtherCarriesOn } from '../support/two-by-two.js';

const { open } = useClusters();
const stopped = { role: 'attention', rank: 0 } as const;

/** How far attention rank 0 is with round 2 when it is stopped. Round 1 is through, but when it is idle. */
const PHASES = ['idle', 'dispatched', 'streaming', 'combining'] as const;
type Phase = (typeof PHASES)[number];

const everyone = (cluster: Cluster, what: 'collect' | 'reply', options: object = {}): Promise<unknown[]> =>
  Promise.all(cluster.ffn.map((member) => member.tell(what, { rank: 0, ...options })));

async function reach(phase: Phase, cluster: Cluster): Promise<void> {
  if (phase === 'idle') return;
  const [first] = cluster.attention;
  await first!.tell('dispatch', 1);
  await everyone(cluster, 'collect');
  await everyone(cluster, 'reply');
  await first!.tell('combine', { generation: 1 });
  if (phase === 'streaming') {
    await first!.tell('begin', 2);
    await first!.tell('publish', { generation: 2, rows: 3 });
  } else await first!.tell('dispatch', 2);
  if (phase === 'dispatched') return;
  await everyone(cluster, 'collect', { streamed: true });
  if (phase === 'combining') void first!.tell('combine', { generation: 2 });
}

describe.each(betweenProcesses)('over %s', (transport: TransportName) => {
  it.each(PHASES)('stopped when %s: waits for it end, the other carries on, and it learns', async (phase) => {
    const cluster = await open(scenario, transport);
    await reach(phase, cluster);
    cluster.attention[0]!.signal('SIGSTOP');
    const streams = phase === 'streaming';
    const arrivals = streams ? cluster.ffn.map((member) => member.tell('arrive', { rank: 0, rows: 4 })) : [];
    // What was dispatched before is still handed over.
    const batch = [{ rank: 0, generation: 2, available: 8 }];
    if (phase === 'dispatched') expect(await everyone(cluster, 'collect')).toEqual([batch, batch]);
    const collects = cluster.ffn.map((member) => member.tell('collect', {}));
    const since = performance.timeOrigin + performance.now();
    for (const member of cluster.ffn) await member.tell('drop', stopped);

    const lost = { code: 'WEFT_PEER_LOST', peer: 'attention 0', since, withinMs: AT_ONCE_MS } as const;
    for (const wait of collects) await failure(wait, { ...lost, phase: 'collect' });
    for (const wait of arrivals) {
      const { details } = await failure(wait, { ...lost, phase: 'collect' });
      expect(details).toMatchObject({ generation: 2, rows: 4 });
    }
    for (const member of cluster.ffn) {
      const reply = member.tell('reply', { rank: 0 });
      if (streams) await failure(reply, { ...lost, phase: 'collect' });
      else if (phase !== 'idle') await reply; // nobody reads it
    }
    await theOtherCarriesOn(cluster);

    cluster.attention[0]!.signal('SIGCONT');
    const next = phase === 'idle' ? 1 : 3;
    if (streams) await failure(cluster.attention[0]!.tell('combine', { generation: 2 }), { code: lost.code });
    await cluster.attention[0]!.tell('dispatch', next);
    const combine = cluster.attention[0]!.tell('combine', { generation: next });
    const { peer } = await failure(combine, { code: 'WEFT_PEER_LOST', phase: 'combine' });
    expect(peer?.role).toBe('ffn');
  });

  it("a batch of all that skips who is lost is handed over when the stopped one isn't waited for", async () => {
    const cluster = await open(scenario, transport);
    cluster.attention[0]!.signal('SIGSTOP');
    const collecting = everyone(cluster, 'collect', { gather: 'all', onPeerLoss: 'skip' });
    await cluster.attention[1]!.tell('dispatch', 1);
    const patience = cluster.attention[1]!.tell('combine', { generation: 1, deadlineMs: 100 });
    await failure(patience, { code: 'WEFT_DEADLINE', phase: 'combine' });
    for (const member of cluster.ffn) await member.tell('drop', stopped);
    const batch = [{ rank: 1, generation: 1, available: 0 }];
    expect(await collecting).toEqual([batch, batch]);
    await everyone(cluster, 'reply', { rank: 1 });
    await cluster.attention[1]!.tell('combine', { generation: 1 });
  });

  it('a combine under way that skips who is lost ends with what the others replied', async () => {
    const cluster = await open(scenario, transport);
    const [waits] = cluster.attention;
    for (const generation of [1, 2]) {
      await waits!.tell('dispatch', generation);
      await everyone(cluster, 'collect');
      await cluster.ffn[1]!.tell('reply', { rank: 0 });
      // Of round 2, 3 rows of 8: they are combined already when the rank is given up, and must not count.
      await cluster.ffn[0]!.tell('reply', { rank: 0, ...(generation === 2 && { rows: 3 }) });
      if (generation === 1) await waits!.tell('combine', { generation });
    }
    cluster.ffn[0]!.signal('SIGSTOP');
    const patience = waits!.tell('combine', { generation: 2, deadlineMs: 100, onPeerLoss: 'skip' });
    await failure(patience, { code: 'WEFT_DEADLINE', phase: 'combine', peer: 'ffn 0' });
    const combining = waits!.tell('combine', { generation: 2, onPeerLoss: 'skip', without: [0] });
    await waits!.tell('drop', { role: 'ffn', rank: 0 });
    await combining;
  });
});
