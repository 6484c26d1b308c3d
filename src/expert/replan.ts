/** Moving few experts: a new placement from the one there is, as loads change. */
import { invalidArgument } from '../errors.js';
import { maxOverMean } from './balance.js';
import { checkCount, checkLoads, checkMultiple, type Loads } from './loads.js';
import { checkPlacement, type Placement, replicaCounts } from './placement.js';
import { type Change, changesOf, PlacementDraft } from './placement-draft.js';

export interface ReplanOptions {
  /** The busiest rank's load over the mean that is good enough (Balance.rankMaxOverMean). Default 1.1. */
  readonly target?: number;
  /** The most experts that may be moved. Default: as many as it takes. */
  readonly maxMigrations?: number;
  /** Experts stay on their nodes: of so many, with as many ranks on each, in order. Default 1. */
  readonly nodes?: number;
}

/** The weights of `expert` are to be brought to a slot of `rank`, where those of `replaces` were. */
export interface Migration {
  readonly expert: number;
  readonly rank: number;
  readonly slot: number;
  readonly replaces: number;
}

export interface Replanned {
  readonly placement: Placement;
  readonly migrations: readonly Migration[];
  readonly rankMaxOverMean: number;
  /** Whether that is the target or better. If not, it is the best that was found. */
  readonly reached: boolean;
}

// Drafts that are followed up of those with the same number of migrations.
const BEAM = 12;

/**
 * The placement with the fewest migrations whose ranks are as balanced as `target`, among those that a beam search finds:
 * drafts are changed where the busiest rank gains by it, one migration after another, and the best of each number are
 * gone on with. Every rank keeps its number of slots.
 */
export function replan(current: Placement, loads: Loads, options: ReplanOptions = {}): Replanned {
  checkPlacement(current, 'current');
  checkLoads('loads', loads, current.experts);
  const { target = 1.1, nodes = 1, maxMigrations = current.slots.flat().length } = options;
  if (typeof target !== 'number' || !(target >= 1))
    throw invalidArgument('target', target, 'a number, 1 or more');
  checkCount('maxMigrations', maxMigrations, 0);
  checkCount('nodes', nodes);
  checkMultiple('the number of ranks', current.slots.length, nodes, 'nodes');

  const first = new PlacementDraft(
    current.slots,
    replicaCounts(current),
    loads,
    current.slots.length / nodes,
  );
  let best = first;
  // By the number of their migrations.
  const drafts: PlacementDraft[][] = [[first]];
  const fewest = new Map([[first.key(), 0]]); // of drafts that were seen
  for (let done = 0; done < drafts.length; done++) {
    const here = (drafts[done] ?? []).sort(PlacementDraft.byBalance).slice(0, BEAM);
    drafts[done] = [];
    if (here.length > 0 && PlacementDraft.byBalance(here[0]!, best) < 0) best = here[0]!;
    if (maxOverMean(best.rankLoads) <= target) break;
    for (const draft of here)
      for (const change of bestOf(draft)) {
        const migrations = done + change.migrations;
        if (migrations > maxMigrations) continue;
        const next = draft.after(change);
        const key = next.key();
        if ((fewest.get(key) ?? Number.POSITIVE_INFINITY) <= migrations) continue;
        fewest.set(key, migrations);
        for (let n = drafts.length; n <= migrations; n++) drafts.push([]);
        drafts[migrations]!.push(next);
      }
  }
  return result(current, best, target);
}

/** The changes worth following, by what is left for the busiest rank. */
function bestOf(draft: PlacementDraft): Change[] {
  const changes = changesOf(draft).sort((a, b) => a.busiest - b.busiest || a.squares - b.squares);
  // Two migrations compare with two, not with one.
  return [1, 2].flatMap((n) => changes.filter(({ migrations }) => migrations === n).slice(0, BEAM));
}

/** Slots of a rank whose experts stay keep them, whatever the order in which the search came to them. */
function result(current: Placement, { slots: found, rankLoads }: PlacementDraft, target: number): Replanned {
  const migrations: Migration[] = [];
  const slots = current.slots.map((before, rank) => {
    const coming = [...found[rank]!];
    const stays = before.map((expert) => {
      const at = coming.indexOf(expert);
      if (at >= 0) coming.splice(at, 1);
      return at >= 0;
    });
    return before.map((replaces, slot) => {
      if (stays[slot]) return replaces;
      const expert = coming.shift()!;
      migrations.push({ expert, rank, slot, replaces });
      return expert;
    });
  });
  const rankMaxOverMean = maxOverMean(rankLoads);
  const placement = { experts: current.experts, slots };
  return { placement, migrations, rankMaxOverMean, reached: rankMaxOverMean <= target };
}
