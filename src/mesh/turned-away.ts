import type { TurnedAway } from './messages.js';

/** What to do when ranks are missing at a deadline; `limit` is the option that it came from. */
export function nextStep(turnedAway: TurnedAway | undefined, limit: string): string {
  if (turnedAway === undefined) return `start the missing ranks, or raise ${limit}`;
  const { role, rank, reason } = turnedAway;
  return `${role}${rank === undefined ? '' : ` ${rank}`} was turned away: ${reason}`;
}
