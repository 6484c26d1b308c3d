/** Adds the time that was waited to every rank's but our own. */
export function addWaited(costs: BigInt64Array | undefined, nanoseconds: bigint, rank: number): void {
  if (costs === undefined) return;
  for (let r = 0; r < costs.length; r++) if (r !== rank) costs[r]! += nanoseconds;
}
