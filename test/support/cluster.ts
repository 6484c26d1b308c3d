import { type Coordinator, startCoordinator, type TransportName } from 'tensorweft';
import type { workload } from 'tensorweft/testing';
import { afterAll, afterEach } from 'vitest';
import { join, Member, type Site } from './member.js';

/** A mesh with every rank in a process of its own. */
export interface Cluster extends Site {
  scenario: workload.Scenario;
  coordinator: Coordinator;
  attention: Member[];
  ffn: Member[];
  /** All of them, attention first. */
  members: Member[];
}

/** An expert-parallel mesh, likewise. */
export interface ExpertCluster extends Site {
  coordinator: Coordinator;
  /** By rank. */
  members: Member[];
}

export interface Clusters {
  /** Starts a coordinator, and the processes, which have not joined. */
  start(scenario: workload.Scenario, transport: TransportName, deadlineMs?: number): Promise<Cluster>;
  /** The same, with all members joined. */
  open(scenario: workload.Scenario, transport: TransportName, deadlineMs?: number): Promise<Cluster>;
  openExperts(
    scenario: workload.ExpertScenario,
    transport: TransportName,
    deadlineMs?: number,
  ): Promise<ExpertCluster>;
}

/**
 * Clusters that are closed after each test of the file. Their processes are used again in the next test, which also
 * shows that a process can be in one mesh after another; those that were killed or do not come back are replaced.
 */
export function useClusters(): Clusters {
  const idle: Member[] = [];
  const busy: Member[] = [];
  const coordinators: Coordinator[] = [];

  afterEach(async () => {
    for (const member of await Promise.all(busy.splice(0).map(recovered))) if (member) idle.push(member);
    await Promise.all(coordinators.splice(0).map((coordinator) => coordinator.close()));
  });
  afterAll(async () => {
    await Promise.all(idle.splice(0).map((member) => member.end()));
  });

  const take = (role: string, count: number): Member[] =>
    Array.from({ length: count }, (_, rank) => {
      const member = idle.shift() ?? new Member('');
      member.name = `${role} ${rank}`;
      busy.push(member);
      return member;
    });
  const start: Clusters['start'] = async (scenario, transport, deadlineMs = 20_000) => {
    const coordinator = await startCoordinator({ attention: scenario.attention, ffn: scenario.ffn });
    coordinators.push(coordinator);
    const [attention, ffn] = [take('attention', scenario.attention), take('ffn', scenario.ffn)];
    return { coordinator, scenario, transport, deadlineMs, attention, ffn, members: [...attention, ...ffn] };
  };
  const openExperts: Clusters['openExperts'] = async (scenario, transport, deadlineMs = 20_000) => {
    const coordinator = await startCoordinator({ ep: scenario.ranks });
    coordinators.push(coordinator);
    const cluster = { coordinator, scenario, transport, deadlineMs, members: take('ep', scenario.ranks) };
    await Promise.all(cluster.members.map((member, rank) => join(member, cluster, 'ep', rank)));
    return cluster;
  };
  return { start, openExperts, open: async (...site) => await joinAll(await start(...site)) };
}

/** The member, ready for another test; undefined when it is gone, and then it is. */
async function recovered(member: Member): Promise<Member | undefined> {
  if (member.isGone) return undefined;
  member.signal('SIGCONT');
  const late = setTimeout(() => member.signal('SIGKILL'), 5000);
  try {
    await member.tell('reset');
    return member;
  } catch {
    await member.end();
    return undefined;
  } finally {
    clearTimeout(late);
  }
}

/** Tells every member of a cluster to join, and waits until all have. */
export async function joinAll(cluster: Cluster): Promise<Cluster> {
  await Promise.all([
    ...cluster.attention.map((member, rank) => join(member, cluster, 'attention', rank)),
    ...cluster.ffn.map((member, rank) => join(member, cluster, 'ffn', rank)),
  ]);
  return cluster;
}
