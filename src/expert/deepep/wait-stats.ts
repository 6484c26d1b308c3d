import { isWeftError, type PeerName } from '../../errors.js';

/** Nanoseconds waited, by rank; undefined: nobody wants to know. */
export type WaitCosts = BigInt64Array | undefined;

/** Adds what each rank was waited for, in microseconds. What is not a number was not waited for to its end. */
export function addWaits(costs: WaitCosts, waits: Iterable<[rank: number, us: number]>): void {
  if (costs === undefined) return;
  for (const [rank, us] of waits) if (us > 0) costs[rank]! += BigInt(Math.round(us * 1e3));
}

/** A wait that ends at its deadline counts for those who had not come. */
export async function countingLate<T>(costs: WaitCosts, wait: () => Promise<T>): Promise<T> {
  const begin = process.hrtime.bigint();
  try {
    return await wait();
  } catch (error) {
    const late = isWeftError(error) ? ((error.details?.waitingFor ?? []) as PeerName[]) : [];
    if (costs !== undefined) for (const { rank } of late) costs[rank]! += process.hrtime.bigint() - begin;
    throw error;
  }
}
