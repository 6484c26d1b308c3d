import { type PeerName, WeftError } from '../errors.js';
import { Code, type NativeFfn } from '../native.js';
import { failure } from './failure.js';
import { type Outcome, Pending } from './pending.js';
import { type BlockingOptions, checkCancel, checkSignal, nativeDeadline, type WaitOptions } from './wait.js';

/** Waits for rows that are under way, by the number the native side calls back with. */
export type PendingArrivals = Map<number, Pending>;

/** Which rows are waited for. */
export interface Awaited {
  native: NativeFfn;
  pending: PendingArrivals;
  /** The slot's number in callbacks. */
  which: number;
  peer: PeerName;
  generation: number;
  rows: number;
  /** Default of the wait. */
  deadlineMs: number;
  lossOf: (peer: PeerName) => string | undefined;
}

export async function awaitRows(awaited: Awaited, options: WaitOptions): Promise<void> {
  const { native, pending, which, peer, generation, rows } = awaited;
  const { deadlineMs = awaited.deadlineMs, signal } = options;
  checkSignal(signal, 'collect');
  checkFree(awaited);
  const code = native.arrivalStart(peer.rank, generation, rows, nativeDeadline(deadlineMs));
  let outcome: Outcome = { code, blamed: -1 };
  if (code === Code.again) {
    const wait = new Pending(signal, () => native.arrivalCancel(peer.rank, generation));
    pending.set(which, wait);
    outcome = await wait.promise;
  }
  check(outcome.code, awaited, deadlineMs, signal?.reason);
}

export function awaitRowsSync(awaited: Awaited, options: BlockingOptions): void {
  const { native, peer, generation, rows } = awaited;
  const { deadlineMs = awaited.deadlineMs, signal, cancel } = options;
  checkSignal(signal, 'collect');
  checkCancel(cancel);
  checkFree(awaited);
  const code = native.arrivalSync(peer.rank, generation, rows, nativeDeadline(deadlineMs), cancel);
  check(code, awaited, deadlineMs, undefined);
}

function checkFree({ pending, which, peer }: Awaited): void {
  if (!pending.has(which)) return;
  throw new WeftError('WEFT_STATE', 'rows of this part are waited for already', { phase: 'collect', peer });
}

function check(
  code: Code,
  { peer, generation, rows, lossOf }: Awaited,
  deadlineMs: number,
  reason: unknown,
): void {
  if (code === Code.ok) return;
  throw failure(code, {
    phase: 'collect',
    peer,
    waitingFor: code === Code.deadline ? [peer] : undefined,
    deadlineMs,
    lossOf,
    reason: code === Code.aborted ? reason : undefined,
    details: { generation, rows },
  });
}
