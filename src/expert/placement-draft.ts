import type { Loads } from './loads.js';

/** What changes a draft: one slot gets another expert, or two slots of different ranks exchange theirs. */
export interface Change {
  readonly puts: readonly { rank: number; slot: number; expert: number }[];
  readonly migrations: number;
  /** What the busiest rank has to do then, and the sum of the squares of all. */
  readonly busiest: number;
  readonly squares: number;
}

/** A placement on the way to another. Not changed, but copied with a change. */
export class PlacementDraft {
  readonly rankLoads: number[];
  readonly squares: number;
  /** Ranks, the busiest first. */
  readonly byLoad: number[];

  constructor(
    readonly slots: readonly (readonly number[])[],
    readonly counts: ArrayLike<number>,
    readonly loads: Loads,
    /** Experts stay among so many neighbouring ranks. */
    readonly ranksPerNode: number,
  ) {
    this.rankLoads = slots.map((of) => of.reduce((sum, expert) => sum + this.share(expert), 0));
    this.squares = this.rankLoads.reduce((sum, load) => sum + load * load, 0);
    this.byLoad = this.rankLoads.map((_, rank) => rank);
    this.byLoad.sort((a, b) => this.rankLoads[b]! - this.rankLoads[a]!);
  }

  share(expert: number, count: number = this.counts[expert]!): number {
    return this.loads[expert]! / count;
  }

  after({ puts }: Change): PlacementDraft {
    const slots = this.slots.map((of) => [...of]);
    const counts = Uint32Array.from(this.counts);
    for (const { rank, slot, expert } of puts) {
      counts[slots[rank]![slot]!]!--;
      counts[expert]!++;
      slots[rank]![slot] = expert;
    }
    return new PlacementDraft(slots, counts, this.loads, this.ranksPerNode);
  }

  /** The same for drafts that differ in the order within ranks only. */
  key(): string {
    return this.slots.map((of) => [...of].sort((a, b) => a - b).join()).join(';');
  }

  static byBalance(this: void, a: PlacementDraft, b: PlacementDraft): number {
    return a.rankLoads[a.byLoad[0]!]! - b.rankLoads[b.byLoad[0]!]! || a.squares - b.squares;
  }
}

/** Ranks, and by how much the load of each changes. */
type Shift = Map<number, number>;

/** All changes by which the busiest rank has less to do. */
export function changesOf(draft: PlacementDraft): Change[] {
  const { slots, ranksPerNode } = draft;
  const busiest = draft.byLoad[0]!;
  const node = Math.floor(busiest / ranksPerNode);
  const ranks = Array.from({ length: ranksPerNode }, (_, i) => node * ranksPerNode + i);
  const holders = holdersIn(draft);
  // The last replica on a node stays there.
  const here = new Map<number, number>();
  for (const rank of ranks) for (const expert of slots[rank]!) here.set(expert, (here.get(expert) ?? 0) + 1);
  const changes: Change[] = [];
  const add = (puts: Change['puts'], shift: Shift): void => {
    if ((shift.get(busiest) ?? 0) < 0)
      changes.push({ puts, migrations: puts.length, ...measure(draft, shift) });
  };
  const replace = (rank: number, slot: number, expert: number): void => {
    const old = slots[rank]![slot]!;
    if (here.get(old)! < 2 || slots[rank]!.includes(expert)) return;
    add([{ rank, slot, expert }], shiftOfReplacing(draft, holders, rank, old, expert));
  };
  slots[busiest]!.forEach((mine, slot) => {
    for (const expert of here.keys()) replace(busiest, slot, expert);
    for (const rank of ranks) {
      if (rank === busiest) continue;
      const helped = slots[rank]!.includes(mine);
      slots[rank]!.forEach((theirs, other) => {
        if (helped) return;
        replace(rank, other, mine); // which helps to carry it
        const less = draft.share(mine) - draft.share(theirs);
        if (less <= 0 || slots[busiest]!.includes(theirs)) return;
        const exchange = [
          { rank: busiest, slot, expert: theirs },
          { rank, slot: other, expert: mine },
        ];
        const shift = [
          [busiest, -less],
          [rank, less],
        ] as const;
        add(exchange, new Map(shift));
      });
    }
  });
  return changes;
}

/** [experts]: the ranks of its slots. */
function holdersIn({ slots, counts }: PlacementDraft): number[][] {
  const holders = Array.from(counts, () => [] as number[]);
  slots.forEach((of, rank) => {
    for (const expert of of) holders[expert]!.push(rank);
  });
  return holders;
}

/** The replicas of both experts have another share then, wherever they are. */
function shiftOfReplacing(
  draft: PlacementDraft,
  holders: number[][],
  at: number,
  old: number,
  expert: number,
): Shift {
  const fewer = draft.share(old, draft.counts[old]! - 1);
  const more = draft.share(expert, draft.counts[expert]! + 1);
  const shift: Shift = new Map();
  const add = (rank: number, load: number): void => {
    shift.set(rank, (shift.get(rank) ?? 0) + load);
  };
  for (const rank of holders[old]!) add(rank, fewer - draft.share(old));
  for (const rank of holders[expert]!) add(rank, more - draft.share(expert));
  add(at, more - fewer);
  return shift;
}

function measure(
  { rankLoads, byLoad, squares }: PlacementDraft,
  shift: Shift,
): Pick<Change, 'busiest' | 'squares'> {
  let busiest = rankLoads[byLoad.find((rank) => !shift.has(rank)) ?? -1] ?? 0;
  let after = squares;
  for (const [rank, by] of shift) {
    const load = rankLoads[rank]! + by;
    busiest = Math.max(busiest, load);
    after += load * load - rankLoads[rank]! * rankLoads[rank]!;
  }
  return { busiest, squares: after };
}
