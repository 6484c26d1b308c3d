import { type PeerName, type Phase, peerText, type WeftCode, WeftError } from '../errors.js';
import { Code, type NativeError } from '../native.js';
import type { ExchangeContext } from './context.js';
import type { Outcome } from './pending.js';

const codes: Record<number, WeftCode> = {
  [Code.deadline]: 'WEFT_DEADLINE',
  [Code.aborted]: 'WEFT_ABORTED',
  [Code.closed]: 'WEFT_CLOSED',
  [Code.peerLost]: 'WEFT_PEER_LOST',
  [Code.peerClosed]: 'WEFT_PEER_CLOSED',
  [Code.configMismatch]: 'WEFT_CONFIG_MISMATCH',
  [Code.auth]: 'WEFT_AUTH',
  [Code.protocol]: 'WEFT_PROTOCOL',
  [Code.invalidArgument]: 'WEFT_INVALID_ARGUMENT',
  [Code.tooManyRows]: 'WEFT_TOO_MANY_TOKENS',
  [Code.slotBusy]: 'WEFT_SLOT_BUSY',
  [Code.state]: 'WEFT_STATE',
  [Code.unavailable]: 'WEFT_UNAVAILABLE',
  [Code.system]: 'WEFT_SYSTEM',
};

const phases: (Phase | undefined)[] = [
  undefined,
  'connect',
  'claim',
  'dispatch',
  'collect',
  'reply',
  'combine',
  'close',
];

export interface Circumstances {
  phase: Phase;
  peer?: PeerName | undefined;
  /** Ranks that were waited for, for a deadline. */
  waitingFor?: readonly PeerName[] | undefined;
  deadlineMs?: number | undefined;
  /** Says why a peer was lost, where its transport knows. */
  lossOf?: ((peer: PeerName) => string | undefined) | undefined;
  reason?: unknown;
  details?: Record<string, unknown> | undefined;
}

/** The error for a native code that is not `ok`. */
export function failure(code: Code, about: Circumstances): WeftError {
  const { phase, waitingFor, details } = about;
  const peer = about.peer ?? (waitingFor?.length === 1 ? waitingFor[0] : undefined);
  return new WeftError(codes[code] ?? 'WEFT_SYSTEM', text(code, about), {
    phase,
    peer,
    details: {
      ...(code === Code.deadline && { deadlineMs: about.deadlineMs }),
      ...(waitingFor && { waitingFor }),
      ...(code === Code.peerLost && lossText(about) !== undefined && { loss: lossText(about) }),
      ...details,
    },
    cause: about.reason,
  });
}

/** The same for a wait that ended without what it was for; `late` tells whom it waited for. */
export function waitFailure(
  { code, blamed }: Outcome,
  { nameOf, lossOf }: ExchangeContext,
  about: Pick<Circumstances, 'phase' | 'deadlineMs' | 'reason' | 'details'> & { late: () => PeerName[] },
): WeftError {
  const { late, reason, ...facts } = about;
  return failure(code, {
    ...facts,
    peer: blamed >= 0 ? nameOf(blamed) : undefined,
    waitingFor: code === Code.deadline ? late() : undefined,
    lossOf,
    reason: code === Code.aborted ? reason : undefined,
  });
}

function lossText({ peer, lossOf }: Circumstances): string | undefined {
  return peer === undefined ? undefined : lossOf?.(peer);
}

function text(code: Code, about: Circumstances): string {
  const { phase, peer, waitingFor, deadlineMs } = about;
  const who = peer === undefined ? 'a peer' : peerText(peer);
  switch (code) {
    case Code.deadline:
      return (
        `${phase}: no answer from ${waitingFor?.map(peerText).join(', ') || who} within ${Math.round(deadlineMs ?? 0)} ms; ` +
        `it may be stopped or overloaded: wait again, or raise deadlineMs${phase === 'combine' ? ', or give the round up with abandon()' : ''}`
      );
    case Code.aborted:
      return `the ${phase} was aborted by the caller`;
    case Code.closed:
      return `${phase}: this mesh is closed`;
    case Code.peerLost:
      return `${phase}: ${who} is lost: ${lossText(about) ?? 'its process or its host is gone'}`;
    case Code.peerClosed:
      return `${phase}: ${who} has left the mesh`;
    case Code.protocol:
      return `${phase}: ${who} broke the protocol; it is not listened to any more`;
    case Code.slotBusy:
      return `${phase}: too many operations are under way`;
    case Code.state:
      return `${phase}: the call does not fit the state of the round`;
    default:
      return `${phase} failed (native code ${code})`;
  }
}

/** What a native set-up call threw, as a WeftError; other errors stay as they are. */
export function fromNative(error: unknown, nameOf: (member: number) => PeerName): unknown {
  const { weft, phase, peer, errno, message } = (error ?? {}) as NativeError;
  if (typeof weft !== 'number') return error;
  const name = peer >= 0 ? nameOf(peer) : undefined;
  const who = name === undefined ? '' : `${peerText(name)}: `;
  return new WeftError(
    codes[weft] ?? 'WEFT_SYSTEM',
    `${who}${message}${errno > 0 ? ` (errno ${errno})` : ''}`,
    {
      phase: phases[phase],
      peer: name,
      ...(errno > 0 && { details: { errno } }),
    },
  );
}
