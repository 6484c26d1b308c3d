import type { ExchangeLayout } from '../afd/layout.js';
import { expertRow, wireRow } from './contents.js';
import { bf16OfAll, combineRows, type Summand } from './numerics.js';
import { expertsOf, type Facts, factsOf, type RowPlace, tokensOf, weightOf } from './scenario.js';

/** Of 7 experts on 3 ranks, each with a replica, so that all can be rerouted; which one serves a row depends on its token and source. */
export const REPLICATED: number[][] = [
  [0, 1],
  [1, 2],
  [0, 2],
  [0, 1],
  [1, 2],
  [0, 2],
  [0, 1, 2],
];

/** What the ranks of an expert-parallel mesh do in a run; contents follow from it as from a `Scenario`. */
export interface ExpertScenario {
  ranks: number;
  layout: ExchangeLayout;
  /** Rounds of the mesh. */
  rounds: number;
  /** Makes the contents of two runs differ. Default 0. */
  seed?: number;
}

export interface ExpertFacts extends Facts {
  ranks: number;
  /** [experts] the ranks of each, ascending. */
  replicas: number[][];
  alignment: number;
  padded: boolean;
}

export function expertFactsOf({ ranks, layout, seed = 0 }: ExpertScenario): ExpertFacts {
  const { combine = 'weighted' } = layout;
  const facts = factsOf({ attention: ranks, ffn: ranks, layout: { ...layout, combine }, rounds: 0, seed });
  const placed = (layout.experts!.placement as (number | number[])[] | undefined) ?? facts.placement;
  return {
    ...facts,
    ranks,
    replicas: placed.map((on) => [on].flat().sort((a, b) => a - b)),
    alignment: layout.experts!.alignment ?? 1,
    padded: layout.experts!.packing === 'padded',
  };
}

/** What becomes of choices whose rank is gone. */
export interface ExpertLoss {
  gone: readonly number[];
  policy: 'skip' | 'renormalise' | 'reroute';
}

/** The rank that serves a choice: replicas take turns; with 'reroute' those that are left, if any are. */
export function servedBy(
  facts: ExpertFacts,
  { rank, token }: RowPlace,
  expert: number,
  loss?: ExpertLoss,
): number {
  const all = facts.replicas[expert]!;
  const live = all.filter((on) => loss?.policy !== 'reroute' || !loss.gone.includes(on));
  const on = live.length === 0 ? all : live;
  return on[(token + rank) % on.length]!;
}

/** A row that a rank is sent for one of its experts. */
export interface Due extends RowPlace {
  expert: number;
  k: number;
}

/** All that `server` must be sent in a round, ordered by expert, source and token: a search of every choice there is. */
export function dueRows(facts: ExpertFacts, server: number, generation: number, loss?: ExpertLoss): Due[] {
  const all: Due[] = [];
  for (let expert = 0; expert < facts.experts; expert++)
    for (let rank = 0; rank < facts.ranks; rank++)
      for (let token = 0; token < tokensOf(facts, { rank, generation }); token++) {
        const place = { rank, generation, token };
        for (const [k, id] of expertsOf(facts, place).entries())
          if (id === expert && servedBy(facts, place, expert, loss) === server)
            all.push({ ...place, expert, k });
      }
  return all;
}

/** What an expert makes of a row that it was sent. */
export function outputOf(
  facts: ExpertFacts,
  { expert, ...place }: RowPlace & { expert: number },
): Uint16Array {
  return expertRow(wireRow(facts, place).values, expert, place.generation);
}

/** The combined result of a round: [tokens, hidden] of bf16. */
export function expertResult(
  facts: ExpertFacts,
  place: { rank: number; generation: number },
  loss: ExpertLoss = { gone: [], policy: 'skip' },
): Uint16Array {
  const { hidden } = facts;
  const tokens = tokensOf(facts, place);
  const out = new Uint16Array(tokens * hidden);
  for (let token = 0; token < tokens; token++)
    out.set(bf16OfAll(combineRows(summands(facts, { ...place, token }, loss), hidden)), token * hidden);
  return out;
}

function summands(facts: ExpertFacts, place: RowPlace, loss: ExpertLoss): Summand[] {
  const { gone, policy } = loss;
  const all = expertsOf(facts, place).flatMap((expert, k) => {
    if (expert < 0) return [];
    const rank = servedBy(facts, place, expert, loss);
    return [{ rank, row: outputOf(facts, { ...place, expert }), weight: weightOf(facts, place, k) }];
  });
  const left = all.filter(({ rank }) => !gone.includes(rank));
  if (facts.combine === 'weighted') return scaled(all, left, policy);
  const ranks = [...new Set(left.map(({ rank }) => rank))].sort((a, b) => a - b);
  return ranks.map((rank) => ({
    row: bf16OfAll(
      combineRows(
        left.filter((term) => term.rank === rank),
        facts.hidden,
      ),
    ),
  }));
}

/** What `server` makes of a row in all, for combine 'sum': a row of bf16. */
export function rankSum(facts: ExpertFacts, place: RowPlace, server: number): Uint16Array {
  const terms = expertsOf(facts, place).flatMap((expert, k) =>
    expert < 0 || servedBy(facts, place, expert) !== server
      ? []
      : [{ row: outputOf(facts, { ...place, expert }), weight: weightOf(facts, place, k) }],
  );
  return bf16OfAll(combineRows(terms, facts.hidden));
}

function scaled(
  all: readonly Required<Summand>[],
  left: readonly Required<Summand>[],
  policy: ExpertLoss['policy'],
): Summand[] {
  const { fround } = Math;
  const sum = (terms: readonly Required<Summand>[]): number =>
    terms.reduce((total, { weight }) => fround(total + weight!), 0);
  if (policy !== 'renormalise' || all.length === left.length || sum(left) === 0) return [...left];
  const scale = fround(sum(all) / sum(left));
  return left.map(({ row, weight }) => ({ row, weight: fround(weight! * scale) }));
}
