/**
 * The placement that DeepSeek's EPLB makes (github.com/deepseek-ai/EPLB), with its ties: float32 throughout, sorts that are
 * stable, the first of several largest or smallest. One thing may differ: the loads of a group are added one after another,
 * which is exact for counts of tokens, below 2^24 in a group; torch adds fractions in an order of its own.
 */
import { invalidArgument } from '../errors.js';
import { checkCount, checkLoads, checkMultiple, type Loads } from './loads.js';
import type { Placement } from './placement.js';

/** What EPLB calls physical experts are places for replicas: GPU g of G has the places g * replicas / G and following. */
export interface Rebalanced {
  /** [layers][replicas]: the expert in each place. */
  phy2log: number[][];
  /** [layers][experts][the most replicas that any expert has]: the places of an expert's replicas, then -1. */
  log2phy: number[][][];
  /** [layers][experts]: how many replicas. */
  logcnt: number[][];
}

/**
 * `rebalance_experts` of EPLB, argument for argument. `weight`: [layers][experts], loads. With `numGroups` a multiple of
 * `numNodes` it is hierarchical: groups of experts are packed onto nodes, then replicas are made and packed onto the GPUs of
 * each node; otherwise global, as if there were one node. `numReplicas` counts all places and is at least the number of
 * experts; GPUs divide it, nodes divide the GPUs, groups divide the experts.
 */
export function rebalanceExperts(
  weight: readonly Loads[],
  numReplicas: number,
  numGroups: number,
  numNodes: number,
  numGpus: number,
): Rebalanced {
  const experts = weight?.[0]?.length ?? 0;
  if (experts === 0) throw invalidArgument('weight', weight, 'loads of one layer or more: [layers][experts]');
  weight.forEach((loads, layer) => {
    checkLoads(`weight[${layer}]`, loads, experts);
  });
  checkCount('numReplicas', numReplicas, experts);
  checkCount('numGroups', numGroups);
  checkCount('numNodes', numNodes);
  checkCount('numGpus', numGpus);
  const hierarchical = numGroups % numNodes === 0;
  if (hierarchical) {
    checkMultiple('the number of experts', experts, numGroups, 'numGroups');
    checkMultiple('numGpus', numGpus, numNodes, 'numNodes');
  }
  checkMultiple('numReplicas', numReplicas, numGpus, 'numGpus');
  const [groups, nodes] = hierarchical ? [numGroups, numNodes] : [1, 1];
  const layers = weight.map((loads) => place(Float32Array.from(loads), numReplicas, groups, nodes, numGpus));
  const most = layers.flatMap(({ counts }) => counts).reduce((a, b) => Math.max(a, b), 1);
  return {
    phy2log: layers.map(({ places }) => places.map(({ expert }) => expert)),
    log2phy: layers.map(({ places }) => {
      const of = Array.from({ length: experts }, () => new Array<number>(most).fill(-1));
      places.forEach(({ expert, replica }, at) => {
        of[expert]![replica] = at;
      });
      return of;
    }),
    logcnt: layers.map(({ counts }) => counts),
  };
}

/**
 * EPLB's placement of one layer. `replicas`: slots of all ranks; default, the least that every rank has as many of. With
 * `groups` a multiple of `nodes` each group stays on one node; otherwise nodes are not looked at.
 */
export function eplbPlacement(
  loads: Loads,
  options: { ranks: number; replicas?: number; groups?: number; nodes?: number },
): Placement {
  const experts = loads?.length ?? 0;
  const { ranks, groups = 1, nodes = 1 } = options;
  if (experts === 0) throw invalidArgument('loads', loads, 'a load for each expert, one at least');
  checkLoads('loads', loads, experts);
  checkCount('ranks', ranks);
  checkCount('groups', groups);
  checkCount('nodes', nodes);
  const { replicas = Math.ceil(experts / ranks) * ranks } = options;
  if (!Number.isSafeInteger(replicas) || replicas < experts || replicas % ranks !== 0)
    throw invalidArgument(
      'replicas',
      replicas,
      `a multiple of ranks (${ranks}), at least one for each expert (${experts})`,
    );
  if (groups % nodes === 0) {
    checkMultiple('the number of experts', experts, groups, 'groups');
    checkMultiple('ranks', ranks, nodes, 'nodes');
  }
  const all = rebalanceExperts([loads], replicas, groups, nodes, ranks).phy2log[0]!;
  const each = replicas / ranks;
  return {
    experts,
    slots: Array.from({ length: ranks }, (_, rank) => all.slice(rank * each, (rank + 1) * each)),
  };
}

interface Replica {
  expert: number;
  replica: number;
}

function place(loads: Float32Array, replicas: number, groups: number, nodes: number, gpus: number) {
  const size = loads.length / groups;
  const groupLoads = Float32Array.from({ length: groups }, (_, group) =>
    loads.subarray(group * size, (group + 1) * size).reduce((sum, load) => Math.fround(sum + load), 0),
  );
  const counts = new Array<number>(loads.length).fill(1);
  const places = pack(groupLoads, nodes).flatMap((groupsOfNode) => {
    const experts = groupsOfNode.flatMap((group) => Array.from({ length: size }, (_, i) => group * size + i));
    const made = replicate(loads, experts, counts, replicas / nodes);
    const shares = Float32Array.from(made, ({ expert }) => loads[expert]! / counts[expert]!);
    return pack(shares, gpus / nodes).flatMap((items) => items.map((item) => made[item]!));
  });
  return { places, counts };
}

/** As many items in each pack, from the heaviest on each into the lightest pack that has room. By pack: its items. */
function pack(weights: Float32Array, packs: number): number[][] {
  const room = weights.length / packs;
  const items = Array.from(weights, (_, item) => item);
  if (room === 1) return items.map((item) => [item]);
  items.sort((a, b) => weights[b]! - weights[a]!);
  const packed = Array.from({ length: packs }, () => ({ weight: 0, items: [] as number[] }));
  for (const item of items) {
    const open = packed.filter((one) => one.items.length < room);
    const lightest = open.reduce((best, one) => (one.weight < best.weight ? one : best));
    lightest.items.push(item);
    lightest.weight = Math.fround(lightest.weight + weights[item]!);
  }
  return packed.map((one) => one.items);
}

/** One replica of each expert, and then one more of that whose replicas have the most to do. Counts them in `counts`. */
function replicate(loads: Float32Array, experts: number[], counts: number[], replicas: number): Replica[] {
  const share = (expert: number): number => Math.fround(loads[expert]! / counts[expert]!);
  const made = experts.map((expert) => ({ expert, replica: 0 }));
  while (made.length < replicas) {
    const busiest = experts.reduce((best, expert) => (share(expert) > share(best) ? expert : best));
    made.push({ expert: busiest, replica: counts[busiest]!++ });
  }
  return made;
}
