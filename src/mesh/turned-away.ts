import type { TurnedAway } from './messages.js';
import type { MissingRanks } from './roster.js';

/** Whom the others wait for may have been turned away: not once somebody else has taken its place. */
export function stillMissing(
  turnedAway: TurnedAway | undefined,
  missing: MissingRanks,
): TurnedAway | undefined {
  if (turnedAway === undefined) return undefined;
  const ranks = missing[turnedAway.role] ?? [];
  const { rank } = turnedAway;
  return (rank === undefined ? ranks.length > 0 : ranks.includes(rank)) ? turnedAway : undefined;
}

/** What to do when ranks are missing at a deadline; `limit` is the option that it came from. */
export function nextStep(turnedAway: TurnedAway | undefined, limit: string): string {
  if (turnedAway === undefined) return `start the missing ranks, or raise ${limit}`;
  const { role, rank, reason } = turnedAway;
  return `${role}${rank === undefined ? '' : ` ${rank}`} was turned away: ${reason}`;
}
