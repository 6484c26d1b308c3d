import { checkLoads, checkMultiple, type Loads } from './loads.js';
import { checkPlacement, type Placement, replicaCounts } from './placement.js';

/** How evenly a placement spreads loads, when the replicas of an expert share its load evenly. */
export interface Balance {
  /** [ranks], in the unit of the loads. */
  readonly rankLoads: readonly number[];
  /** [nodes] */
  readonly nodeLoads: readonly number[];
  /** The busiest rank's load over the mean of all ranks: 1 at best, and without any load. The round waits for that rank. */
  readonly rankMaxOverMean: number;
  /** The same for nodes. */
  readonly nodeMaxOverMean: number;
}

/** `nodes`: as many ranks on each, in order; it divides their number. */
export function balanceOf(placement: Placement, loads: Loads, nodes = 1): Balance {
  checkPlacement(placement);
  checkLoads('loads', loads, placement.experts);
  const ranks = placement.slots.length;
  checkMultiple('the number of ranks', ranks, nodes, 'nodes');
  const counts = replicaCounts(placement);
  const rankLoads = placement.slots.map((slots) =>
    slots.reduce((sum, expert) => sum + loads[expert]! / counts[expert]!, 0),
  );
  const perNode = ranks / nodes;
  const nodeLoads = Array.from({ length: nodes }, (_, node) =>
    rankLoads.slice(node * perNode, (node + 1) * perNode).reduce((sum, load) => sum + load, 0),
  );
  return {
    rankLoads,
    nodeLoads,
    rankMaxOverMean: maxOverMean(rankLoads),
    nodeMaxOverMean: maxOverMean(nodeLoads),
  };
}

export function maxOverMean(values: readonly number[]): number {
  const sum = values.reduce((a, b) => a + b, 0);
  return sum === 0 ? 1 : (values.reduce((a, b) => Math.max(a, b), 0) * values.length) / sum;
}
