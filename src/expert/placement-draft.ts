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
  readonly busiest: number;
  readonly squares: number;

  constructor(
    readonly slots: readonly (readonly number[])[],
    readonly counts: ArrayLike<number>,
    readonly loads: Loads,
    /** Experts stay among so many neighbouring ranks. */
    readonly ranksPerNode: number,
  ) {
    this.rankLoads = slots.map((of) => of.reduce((sum, expert) => sum + this.share(expert), 0));
    this.busiest = this.rankLoads.indexOf(this.rankLoads.reduce((a, b) => Math.max(a, b), 0));
    this.squares = squares(this.rankLoads);
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
    return a.rankLoads[a.busiest]! - b.rankLoads[b.busiest]! || a.squares - b.squares;
  }
}

/** All changes by which the busiest rank has less to do. */
export function changesOf(draft: PlacementDraft): Change[] {
  const { slots, counts, loads, busiest, ranksPerNode } = draft;
  const node = Math.floor(busiest / ranksPerNode);
  const ranks = Array.from({ length: ranksPerNode }, (_, i) => node * ranksPerNode + i);
  const here = new Set(ranks.flatMap((rank) => [...slots[rank]!]));
  const changes: Change[] = [];
  const replace = (rank: number, slot: number, expert: number): void => {
    const old = slots[rank]![slot]!;
    if (counts[old]! < 2 || slots[rank]!.includes(expert)) return;
    add([{ rank, slot, expert }], loadsAfterReplacing(draft, rank, old, expert));
  };
  const add = (puts: Change['puts'], after: number[]): void => {
    if (after[busiest]! >= draft.rankLoads[busiest]!) return;
    const most = after.reduce((a, b) => Math.max(a, b), 0);
    changes.push({ puts, migrations: puts.length, busiest: most, squares: squares(after) });
  };
  slots[busiest]!.forEach((mine, slot) => {
    for (const expert of here) replace(busiest, slot, expert);
    for (const rank of ranks) {
      if (rank === busiest) continue;
      slots[rank]!.forEach((theirs, other) => {
        replace(rank, other, mine); // which helps to carry it
        if (loads[theirs] === loads[mine] || slots[rank]!.includes(mine)) return;
        if (slots[busiest]!.includes(theirs)) return;
        const after = [...draft.rankLoads];
        const less = draft.share(mine) - draft.share(theirs);
        after[busiest]! -= less;
        after[rank]! += less;
        const puts = [
          { rank: busiest, slot, expert: theirs },
          { rank, slot: other, expert: mine },
        ];
        add(puts, after);
      });
    }
  });
  return changes;
}

/** Both experts' replicas have another share then, wherever they are. */
function loadsAfterReplacing(draft: PlacementDraft, at: number, old: number, expert: number): number[] {
  const { slots, counts, rankLoads } = draft;
  const more = draft.share(old, counts[old]! - 1) - draft.share(old);
  const less = draft.share(expert) - draft.share(expert, counts[expert]! + 1);
  const after = rankLoads.map((load, rank) => {
    const olds = slots[rank]!.filter((one) => one === old).length;
    const news = slots[rank]!.filter((one) => one === expert).length;
    return load + olds * more - news * less;
  });
  after[at]! += draft.share(expert, counts[expert]! + 1) - draft.share(old, counts[old]! - 1);
  return after;
}

function squares(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value * value, 0);
}
