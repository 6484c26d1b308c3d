/** A rank of an expert-parallel mesh that dies, or stops, in each phase of a round, and what the others make of it. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { PeerName, TransportName } from 'tensorweft';
import { workload } from 'tensorweft/testing';
import { describe, expect, it } from 'vitest';
import { type ExpertCluster, useClusters } from '../support/cluster.js';
import { AT_ONCE_MS, type Expected, failure } from '../support/failures.js';
import type { Member } from '../support/member.js';
import { betweenProcesses } from '../support/transports.js';

const { openExperts } = useClusters();
const DEADLINE_MS = 500;

const scenario: workload.ExpertScenario = {
  ranks: 3,
  rounds: 8,
  layout: {
    hidden: 40,
    maxTokens: 6,
    depth: 2,
    experts: { count: 7, topK: 3, placement: workload.REPLICATED },
  },
};

/** How far rank 0 is with round 2 when it happens; the others have dispatched it. */
type Phase = 'idle' | 'dispatching' | 'dispatched' | 'replying' | 'replied';
const PHASES: Phase[] = ['idle', 'dispatching', 'dispatched', 'replying', 'replied'];
/** Its rows of the round were all published: the others serve it without an error. */
const isOut = (phase: Phase): boolean => phase !== 'idle' && phase !== 'dispatching';

const everyone = (members: readonly Member[], does: (member: Member) => Promise<unknown>): Promise<unknown> =>
  Promise.all(members.map(does));

async function reach(phase: Phase, { members }: ExpertCluster): Promise<void> {
  const victim = members[0]!;
  await everyone(members, (member) => member.tell('dispatchExperts', { generation: 1 }));
  await everyone(members, (member) => member.tell('serveExperts', { generation: 1 }));
  await everyone(members, (member) => member.tell('combineExperts', { generation: 1 }));
  await everyone(members.slice(1), (member) => member.tell('dispatchExperts', { generation: 2 }));
  if (phase === 'idle') return;
  await victim.tell('dispatchExperts', { generation: 2, ...(phase === 'dispatching' && { rows: 3 }) });
  if (phase === 'replying') await victim.tell('serveExperts', { generation: 2, only: 2 });
  if (phase === 'replied') await victim.tell('serveExperts', { generation: 2 });
}

/** Round 2 at the others, once rank 0 is gone; `lost` is what they are told. */
async function finish(
  phase: Phase,
  { members }: ExpertCluster,
  lost: Omit<Expected, 'phase'>,
): Promise<void> {
  const others = members.slice(1);
  // Blocking and not, by turns.
  const blocking = (member: Member): boolean => member === others[0];
  await everyone(others, async (member) => {
    const serving = { generation: 2, blocking: blocking(member) };
    if (!isOut(phase)) await failure(member.tell('serveExperts', serving), { ...lost, phase: 'collect' });
    // Told once; then it goes on with those that are left. Over tcp what was sent may not have come.
    await member.tell('serveExperts', { ...serving, onPeerLoss: 'skip' });
  });
  if (phase === 'replied') {
    await everyone(others, (member) => member.tell('combineExperts', { generation: 2 }));
    return;
  }
  await everyone(others, async (member) => {
    const combining = { generation: 2, blocking: blocking(member) };
    await failure(member.tell('combineExperts', combining), { ...lost, phase: 'combine' });
    const loss = { gone: [0], policy: 'skip' } as const;
    await member.tell('combineExperts', { ...combining, onPeerLoss: 'skip', loss });
  });
}

/** The others say the same of who is gone. */
async function agreeOn({ members }: ExpertCluster, epoch: number, without?: PeerName[]): Promise<void> {
  const answers = members.slice(1).map((member) => member.tell('agree', { ...(without && { without }) }));
  for (const answer of await Promise.all(answers))
    expect(answer).toEqual({ epoch, gone: [{ role: 'ep', rank: 0 }] });
}

/** Rounds 3 and on without rank 0, by every policy; every byte is checked, so none of an old round is in them. */
async function carryOn({ members }: ExpertCluster): Promise<void> {
  for (const [i, policy] of (['skip', 'renormalise', 'reroute'] as const).entries()) {
    const rounds = { first: 3 + 2 * i, rounds: 4 + 2 * i };
    const work = { ...rounds, inFlight: 2, onPeerLoss: policy, loss: { gone: [0], policy } };
    await everyone(members.slice(1), (member) => member.tell('drive', work));
  }
}

describe.each(betweenProcesses)('over %s', (transport: TransportName) => {
  describe.each(PHASES)('a rank, %s', (phase) => {
    it('is killed, and the others carry on by every policy', async () => {
      const cluster = await openExperts(scenario, transport);
      await reach(phase, cluster);
      await sleep(50);
      const since = cluster.members[0]!.signal('SIGKILL');
      await sleep(200);
      const lost = { code: 'WEFT_PEER_LOST', peer: 'ep 0', since, withinMs: AT_ONCE_MS } as const;
      await finish(phase, cluster, lost);
      await agreeOn(cluster, 2);
      await carryOn(cluster);
    });

    it('is stopped: the deadline passes, and the round goes on when it does', async () => {
      const cluster = await openExperts(scenario, transport);
      await reach(phase, cluster);
      const [victim, ...others] = cluster.members;
      victim!.signal('SIGSTOP');
      const late = { code: 'WEFT_DEADLINE', peer: 'ep 0' } as const;
      if (!isOut(phase)) {
        for (const member of others)
          await failure(member.tell('serveExperts', { generation: 2, deadlineMs: DEADLINE_MS }), {
            ...late,
            phase: 'collect',
          });
        victim!.signal('SIGCONT');
        return;
      }
      await everyone(others, (member) => member.tell('serveExperts', { generation: 2 }));
      if (phase !== 'replied')
        for (const member of others)
          await failure(member.tell('combineExperts', { generation: 2, deadlineMs: DEADLINE_MS }), {
            ...late,
            phase: 'combine',
          });
      victim!.signal('SIGCONT');
      if (phase === 'dispatched') await victim!.tell('serveExperts', { generation: 2 });
      if (phase !== 'replying')
        await everyone(others, (member) => member.tell('combineExperts', { generation: 2 }));
    });

    it('is stopped, and given up by all: they carry on, and it learns of that', async () => {
      const cluster = await openExperts(scenario, transport);
      await reach(phase, cluster);
      cluster.members[0]!.signal('SIGSTOP');
      await agreeOn(cluster, 2, [{ role: 'ep', rank: 0 }]);
      await finish(phase, cluster, { code: 'WEFT_PEER_LOST', peer: 'ep 0' });
      await carryOn(cluster);
      cluster.members[0]!.signal('SIGCONT');
      await failure(cluster.members[0]!.tell('agree', {}), { code: /WEFT_STATE/ });
    });
  });
});
