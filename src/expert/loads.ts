import { invalidArgument } from '../errors.js';

/** Loads of experts, in any unit: tokens routed to each, say, since the last look. [experts], not negative. */
export type Loads = ArrayLike<number>;

export function checkLoads(name: string, loads: Loads, experts: number): void {
  if (loads?.length !== experts)
    throw invalidArgument(name, loads, `${experts} numbers, one for each expert`);
  for (let i = 0; i < experts; i++)
    if (!Number.isFinite(loads[i]) || loads[i]! < 0)
      throw invalidArgument(`${name}[${i}]`, loads[i], 'a finite number, 0 or more');
}

export function checkCount(name: string, given: number, least: number = 1, most: number = 1_048_576): void {
  if (!Number.isSafeInteger(given) || given < least || given > most)
    throw invalidArgument(name, given, `an integer, ${least} to ${most}`);
}

/** `what`: "a multiple of gpus (8)" */
export function checkMultiple(name: string, given: number, of: number, what: string): void {
  if (given % of !== 0) throw invalidArgument(name, given, `a multiple of ${what} (${of})`);
}
