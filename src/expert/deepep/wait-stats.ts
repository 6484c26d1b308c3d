/** Adds, in nanoseconds, what each rank was waited for. What is not a number was not waited for to its end. */
export function addWaits(
  costs: BigInt64Array | undefined,
  waits: Iterable<[rank: number, us: number]>,
): void {
  if (costs === undefined) return;
  for (const [rank, us] of waits) if (us > 0) costs[rank]! += BigInt(Math.round(us * 1e3));
}
