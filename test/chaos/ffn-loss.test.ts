/** An FFN rank that dies, stops or leaves in each phase of a round, and what the others make of it. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { TransportName } from 'tensorweft';
import { describe, expect, it } from 'vitest';
import type { CombineCommand } from '../processes/commands.js';
import { type Cluster, useClusters } from '../support/cluster.js';
import { AT_ONCE_MS, failure } from '../support/failures.js';
import type { Member } from '../support/member.js';
import { betweenProcesses } from '../support/transports.js';
import { scenario } from '../support/two-by-two.js';

const { open } = useClusters();
/** How long the others wait for a stopped process, in milliseconds. */
const DEADLINE_MS = 500;

/** How far the FFN rank is with round 2 when it happens. */
type Phase = 'idle' | 'dispatched' | 'collected' | 'replying';
const PHASES: Phase[] = ['idle', 'dispatched', 'collected', 'replying'];

/** Replies to a round of both attention ranks. */
async function serve(member: Member): Promise<void> {
  await member.tell('collect', { gather: 'all' });
  for (const rank of [0, 1]) await member.tell('reply', { rank });
}

/** Round 1 is through; round 2 is where `phase` says, for FFN rank 0; rank 1 has replied to it. */
async function reach(phase: Phase, cluster: Cluster): Promise<void> {
  const [victim, other] = cluster.ffn;
  const everyone = async (generation: number): Promise<void> => {
    await Promise.all(cluster.attention.map((member) => member.tell('dispatch', generation)));
  };
  await everyone(1);
  await Promise.all([serve(victim!), serve(other!)]);
  await Promise.all(cluster.attention.map((member) => member.tell('combine', { generation: 1 })));
  if (phase === 'idle') return;
  await everyone(2);
  await serve(other!);
  if (phase === 'dispatched') return;
  await victim!.tell('collect', { gather: 'all' });
  if (phase === 'replying') for (const rank of [0, 1]) await victim!.tell('reply', { rank, rows: 3 });
}

/**
 * Both attention ranks wait for round 2, the second one blocking unless `blocking` is false; when it is idle, they only
 * dispatch it after `happens`.
 */
async function combineWhile(
  phase: Phase,
  cluster: Cluster,
  { blocking = true, ...options }: Omit<CombineCommand, 'generation'>,
  happens: () => number | Promise<number>,
): Promise<{ since: number; combines: Promise<void>[] }> {
  const combine = (): Promise<void>[] =>
    cluster.attention.map((member, rank) =>
      member.tell('combine', { generation: 2, blocking: blocking && rank === 1, ...options }),
    );
  if (phase !== 'idle') {
    const combines = combine();
    await sleep(100);
    return { since: await happens(), combines };
  }
  await happens();
  await Promise.all(cluster.attention.map((member) => member.tell('dispatch', 2)));
  // A round that failed keeps its slot until every rank that is still there has replied.
  await serve(cluster.ffn[1]!);
  return { since: performance.timeOrigin + performance.now(), combines: combine() };
}

async function allLost(combines: Promise<void>[], since: number): Promise<void> {
  const lost = {
    code: 'WEFT_PEER_LOST',
    phase: 'combine',
    peer: 'ffn 0',
    since,
    withinMs: AT_ONCE_MS,
  } as const;
  for (const combine of combines) await failure(combine, lost);
}

/**
 * Rounds that came before a rank was given up may still be handed over to it. In shared memory it may find later rounds
 * in their place before it hears that its peers have gone on without it, which looks like a breach of the protocol.
 */
async function untilItFails(member: Member): Promise<void> {
  for (let i = 0; i < 4; i++) await member.tell('collect', {});
}

/** Rounds 3 and on, without FFN rank 0. */
async function carryOn(cluster: Cluster): Promise<void> {
  const serving = cluster.ffn[1]!.tell('drive', {});
  await Promise.all(
    cluster.attention.map(async (member) => {
      await member.tell('drive', { first: 3, inFlight: 2, without: [0] });
      await member.tell('close');
    }),
  );
  expect(await serving).toBe(2 * (scenario.rounds - 2));
}

describe.each(betweenProcesses)('over %s', (transport: TransportName) => {
  describe.each(PHASES)('an ffn rank, %s', (phase) => {
    it('is killed: noticed at once, and the others carry on', async () => {
      const cluster = await open(scenario, transport);
      await reach(phase, cluster);
      const { since, combines } = await combineWhile(phase, cluster, {}, () =>
        cluster.ffn[0]!.signal('SIGKILL'),
      );
      await allLost(combines, since);
      // What the other rank replied to that round is not lost.
      const skip = { generation: 2, onPeerLoss: 'skip', without: [0] } as const;
      for (const member of cluster.attention) await member.tell('combine', { ...skip, without: [0] });
      await carryOn(cluster);
    });

    it('leaves: noticed at once, and the others carry on', async () => {
      const cluster = await open(scenario, transport);
      await reach(phase, cluster);
      const { since, combines } = await combineWhile(phase, cluster, {}, async () => {
        await cluster.ffn[0]!.tell('close');
        return performance.timeOrigin + performance.now();
      });
      const left = {
        code: 'WEFT_PEER_CLOSED',
        phase: 'combine',
        peer: 'ffn 0',
        since,
        withinMs: AT_ONCE_MS,
      } as const;
      for (const combine of combines) await failure(combine, left);
      await carryOn(cluster);
    });

    it('is stopped: the deadline passes, and it goes on when the rank does', async () => {
      const cluster = await open(scenario, transport);
      await reach(phase, cluster);
      const { since, combines } = await combineWhile(phase, cluster, { deadlineMs: DEADLINE_MS }, () =>
        cluster.ffn[0]!.signal('SIGSTOP'),
      );
      const late = { code: 'WEFT_DEADLINE', phase: 'combine', peer: 'ffn 0' } as const;
      for (const combine of combines)
        await failure(combine, { ...late, since, withinMs: DEADLINE_MS + AT_ONCE_MS });
      cluster.ffn[0]!.signal('SIGCONT');
      if (phase === 'idle' || phase === 'dispatched')
        await cluster.ffn[0]!.tell('collect', { gather: 'all' });
      for (const rank of [0, 1]) await cluster.ffn[0]!.tell('reply', { rank });
      await Promise.all(cluster.attention.map((member) => member.tell('combine', { generation: 2 })));
    });

    it('is stopped, and given up: the others carry on, and it learns of that', async () => {
      const cluster = await open(scenario, transport);
      await reach(phase, cluster);
      // A thread that blocks could not be told to give anybody up.
      const { combines } = await combineWhile(phase, cluster, { blocking: false }, () =>
        cluster.ffn[0]!.signal('SIGSTOP'),
      );
      const since = performance.timeOrigin + performance.now();
      for (const member of cluster.attention) await member.tell('drop', { role: 'ffn', rank: 0 });
      await allLost(combines, since);
      await carryOn(cluster);
      cluster.ffn[0]!.signal('SIGCONT');
      await failure(untilItFails(cluster.ffn[0]!), {
        code: /WEFT_PEER_LOST|WEFT_PROTOCOL/,
        phase: 'collect',
      });
    });

    it('is killed, and skipped: the result is that of the others alone', async () => {
      const cluster = await open(scenario, transport);
      await reach(phase, cluster);
      const skip = { onPeerLoss: 'skip', without: [0] } as const;
      const { combines } = await combineWhile(phase, cluster, { ...skip, without: [0] }, () =>
        cluster.ffn[0]!.signal('SIGKILL'),
      );
      await Promise.all(combines);
      await carryOn(cluster);
    });
  });
});
