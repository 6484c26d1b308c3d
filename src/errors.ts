import { inspect } from 'node:util';
import type { Role } from './mesh/roster.js';

/** Every code an error of this package can carry. Programs match on the code, never on the message. */
export type WeftCode =
  | 'WEFT_INVALID_ARGUMENT'
  | 'WEFT_TOO_MANY_TOKENS'
  | 'WEFT_DTYPE'
  | 'WEFT_FOREIGN_BUFFER'
  | 'WEFT_SLOT_BUSY'
  | 'WEFT_STATE'
  | 'WEFT_CLOSED'
  | 'WEFT_DEADLINE'
  | 'WEFT_ABORTED'
  | 'WEFT_PEER_LOST'
  | 'WEFT_PEER_CLOSED'
  | 'WEFT_CONFIG_MISMATCH'
  | 'WEFT_AUTH'
  | 'WEFT_PROTOCOL'
  | 'WEFT_UNAVAILABLE'
  | 'WEFT_SYSTEM';

/** What was being done when it failed. */
export type Phase =
  | 'join'
  | 'connect'
  | 'claim'
  | 'dispatch'
  | 'collect'
  | 'reply'
  | 'combine'
  | 'agree'
  | 'close';

/** A member as people speak of it: "ffn 3". Ranks count within a role, from 0. */
export interface PeerName {
  readonly role: Role;
  readonly rank: number;
}

export interface WeftErrorOptions extends ErrorOptions {
  phase?: Phase | undefined;
  /** The other side of what failed, where there is one. */
  peer?: PeerName | undefined;
  /** Facts for programs, by name; each code's are listed in docs/errors.md. */
  details?: Record<string, unknown> | undefined;
}

const brand: unique symbol = Symbol.for('tensorweft.error');

/**
 * The one error class of this package. Its brand is a registered symbol, so `instanceof WeftError` and
 * `isWeftError` recognise errors of a second installed copy too.
 */
export class WeftError extends Error {
  readonly code: WeftCode;
  declare readonly phase?: Phase;
  declare readonly peer?: PeerName;
  declare readonly details?: Readonly<Record<string, unknown>>;

  static {
    Object.defineProperty(WeftError.prototype, 'name', { value: 'WeftError', configurable: true });
    Object.defineProperty(WeftError.prototype, brand, { value: true });
  }

  constructor(code: WeftCode, message: string, options: WeftErrorOptions = {}) {
    super(message, options.cause !== undefined ? { cause: options.cause } : undefined);
    this.code = code;
    // Absent fields are left out, so that a printed error shows only what is known.
    if (options.phase !== undefined) Object.assign(this, { phase: options.phase });
    if (options.peer !== undefined) Object.assign(this, { peer: options.peer });
    if (options.details !== undefined) Object.assign(this, { details: options.details });
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    // `this` is a subclass when one asks for it; only the base class answers by brand.
    // biome-ignore lint/complexity/noThisInStatic: see above
    return this === WeftError ? isWeftError(value) : Function.prototype[Symbol.hasInstance].call(this, value);
  }
}

/** Whether `value` is an error of this package, of whichever installed copy; with `code`, of that code. */
export function isWeftError(value: unknown, code?: WeftCode): value is WeftError {
  if (typeof value !== 'object' || value === null || !(brand in value)) return false;
  return code === undefined || (value as { code?: unknown }).code === code;
}

/** "ffn 3" */
export function peerText(peer: PeerName): string {
  return `${peer.role} ${peer.rank}`;
}

/** A value as it appears in a message: on one line, cut to about 120 characters. */
export function givenText(value: unknown): string {
  const text = inspect(value, {
    depth: 1,
    compact: true,
    breakLength: Infinity,
    maxArrayLength: 8,
    maxStringLength: 80,
  });
  return text.length > 120 ? `${text.slice(0, 117)}...` : text;
}

/**
 * WEFT_INVALID_ARGUMENT: `name` as the caller wrote it ("layout.hidden"), the value given, and what is allowed
 * in words ("an integer, 1 to 1048576").
 */
export function invalidArgument(
  name: string,
  given: unknown,
  allowed: string,
  options: WeftErrorOptions = {},
): WeftError {
  const details = { argument: name, given, allowed, ...options.details };
  return new WeftError(
    'WEFT_INVALID_ARGUMENT',
    `${name} must be ${allowed}, but ${givenText(given)} was given`,
    {
      ...options,
      details,
    },
  );
}

/** WEFT_ABORTED, with the signal's reason as its cause. */
export function abortedError(signal: AbortSignal, phase: Phase, peer?: PeerName): WeftError {
  return new WeftError('WEFT_ABORTED', `the ${phase} was aborted by the caller's signal`, {
    phase,
    peer,
    cause: signal.reason,
  });
}

export interface DeadlineFacts extends WeftErrorOptions {
  phase: Phase;
  /** How long it was waited, in milliseconds. */
  deadlineMs: number;
  /** What did not come, ending the sentence "within 500 ms there was no ...". */
  missing: string;
  /** What to do next, a sentence without its full stop. */
  next?: string | undefined;
}

/** WEFT_DEADLINE: who was waited for, how long, and what to do next. */
export function deadlineError(facts: DeadlineFacts): WeftError {
  const { deadlineMs, missing, next, ...options } = facts;
  const text = `${facts.phase}: within ${Math.round(deadlineMs)} ms there was no ${missing}${next === undefined ? '' : `; ${next}`}`;
  return new WeftError('WEFT_DEADLINE', text, { ...options, details: { deadlineMs, ...options.details } });
}

/** WEFT_CLOSED: `what` ("this mesh") was closed before or during the call. */
export function closedError(what: string, phase?: Phase): WeftError {
  return new WeftError('WEFT_CLOSED', `${what} is closed`, { phase });
}

/** WEFT_SYSTEM: the operating system refused. Keeps `errno` and `syscall` of a Node system error as details. */
export function systemError(what: string, cause: unknown, options: WeftErrorOptions = {}): WeftError {
  const { code, syscall, message } = (cause ?? {}) as Partial<NodeJS.ErrnoException>;
  const details = { ...(code && { errno: code }), ...(syscall && { syscall }), ...options.details };
  return new WeftError('WEFT_SYSTEM', `${what}: ${message ?? String(cause)}`, { ...options, details, cause });
}
