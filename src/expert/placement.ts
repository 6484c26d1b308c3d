import { invalidArgument } from '../errors.js';
import { checkCount } from './loads.js';

/**
 * Where the experts of a layer are: for each rank, the expert in each of its slots. An expert that has several slots has
 * replicas, which share its tokens evenly; each expert has at least one. Ranks may have different numbers of slots.
 */
export interface Placement {
  readonly experts: number;
  /** [ranks][slots of the rank] */
  readonly slots: readonly (readonly number[])[];
}

/**
 * Experts in order, as evenly as can be, expert e of E on rank floor(e * R / E), as the row exchange has them: of 10 experts
 * on 4 ranks, 0 1 2 | 3 4 | 5 6 7 | 8 9.
 */
export function linearPlacement(experts: number, ranks: number): Placement {
  checkSizes(experts, ranks);
  const first = (rank: number): number => Math.ceil((rank * experts) / ranks);
  const slots = Array.from({ length: ranks }, (_, rank) =>
    Array.from({ length: first(rank + 1) - first(rank) }, (_, i) => first(rank) + i),
  );
  return { experts, slots };
}

/** Expert e on rank e mod R: neighbours, which are often busy together, on different ranks. */
export function roundRobinPlacement(experts: number, ranks: number): Placement {
  checkSizes(experts, ranks);
  const slots = Array.from({ length: ranks }, (_, rank) =>
    Array.from({ length: Math.ceil((experts - rank) / ranks) }, (_, i) => rank + i * ranks),
  );
  return { experts, slots };
}

/** A placement of the caller's own, checked: every slot has an expert, every expert a slot. */
export function checkPlacement(placement: Placement, name = 'placement'): void {
  const { experts, slots } = placement ?? {};
  checkCount(`${name}.experts`, experts);
  if (!Array.isArray(slots) || slots.length === 0)
    throw invalidArgument(`${name}.slots`, slots, 'an array with the slots of each rank');
  const counts = new Uint32Array(experts);
  slots.forEach((of, rank) => {
    if (!Array.isArray(of)) throw invalidArgument(`${name}.slots[${rank}]`, of, 'an array of experts');
    of.forEach((expert, slot) => {
      if (!Number.isSafeInteger(expert) || expert < 0 || expert >= experts)
        throw invalidArgument(`${name}.slots[${rank}][${slot}]`, expert, `an expert, 0 to ${experts - 1}`);
      counts[expert]!++;
    });
  });
  const missing = counts.indexOf(0);
  if (missing >= 0)
    throw invalidArgument(`${name}.slots`, slots, `a slot for every expert; expert ${missing} has none`);
}

/** [experts]: how many slots each has. */
export function replicaCounts({ experts, slots }: Placement): Uint32Array {
  const counts = new Uint32Array(experts);
  for (const expert of slots.flat()) counts[expert]!++;
  return counts;
}

function checkSizes(experts: number, ranks: number): void {
  checkCount('experts', experts);
  checkCount('ranks', ranks);
}
