import { invalidArgument } from '../errors.js';
import type { ServerTls } from './coordinator-server.js';
import { MAX_MEMBERS } from './limits.js';
import { type Logger, silent } from './logger.js';
import { newToken } from './proof.js';
import type { MeshShape } from './roster.js';

export interface CoordinatorOptions {
  /** Number of attention ranks (M), 1 or more; attention + ffn is at most 1024. */
  attention?: number | undefined;
  /** Number of FFN ranks (N), 1 or more. */
  ffn?: number | undefined;
  /** Number of ranks of an expert-parallel mesh, 1 to 1024, instead of attention and FFN ranks. */
  ep?: number | undefined;
  /** Address to listen on. Default '127.0.0.1': this machine only. */
  host?: string | undefined;
  /** Default 0: any free port, see `Coordinator.url`. */
  port?: number | undefined;
  /**
   * The secret every member must know. Default: 256 random bits, see `Coordinator.token`. Choose one that cannot be
   * guessed: whoever receives a client's proof can try guesses at leisure.
   */
  token?: string | undefined;
  /** With it the coordinator speaks wss. */
  tls?: ServerTls | undefined;
  /**
   * Milliseconds from the first join to the complete mesh; then all who wait are refused with WEFT_DEADLINE and the
   * next join starts a new count. Default: no limit, the members have deadlines of their own.
   */
  joinDeadlineMs?: number | undefined;
  /** Interval of pings to members, in milliseconds. Default 30,000. */
  heartbeatMs?: number | undefined;
  /**
   * Intervals without any sign of life after which a member is lost, and the coordinator for its members. Default: so
   * many that it does not happen, because a member whose thread blocks (`combineSync`, `nextSync`) answers no pings and
   * is well all the same. A process that dies is noticed at once, by its connection; a host that vanishes within about
   * 15 seconds, by TCP keep-alive. Set it where members never block, to count a process that hangs as lost.
   */
  missedHeartbeats?: number | undefined;
  /** Aborting it closes the coordinator. */
  signal?: AbortSignal | undefined;
  logger?: Logger | undefined;
}

/** Checked, and with the defaults filled in. */
export interface CoordinatorSettings {
  shape: MeshShape;
  host: string;
  port: number;
  token: string;
  tls: ServerTls | undefined;
  joinDeadlineMs: number | undefined;
  heartbeatMs: number;
  missedHeartbeats: number;
  logger: Logger;
}

const MAX_MISSED = 1_000_000;
const MAX_TIMER_MS = 2 ** 31 - 1;

export function coordinatorSettings(options: CoordinatorOptions): CoordinatorSettings {
  const { tls, joinDeadlineMs, host = '127.0.0.1', logger = silent } = options;
  const shape = shapeOf(options);
  if (typeof host !== 'string' || host === '') throw invalidArgument('host', host, 'an address or host name');
  const token = options.token ?? newToken();
  if (typeof token !== 'string' || token === '') {
    // The token itself never goes into a message.
    throw invalidArgument('token', typeof token, 'a string that is not empty');
  }
  return {
    shape,
    host,
    token,
    tls,
    logger,
    port: integer('port', options.port ?? 0, 0, 65_535),
    joinDeadlineMs:
      joinDeadlineMs === undefined || joinDeadlineMs === Infinity
        ? undefined
        : integer('joinDeadlineMs', joinDeadlineMs, 1, MAX_TIMER_MS),
    heartbeatMs: integer('heartbeatMs', options.heartbeatMs ?? 30_000, 1, MAX_TIMER_MS),
    missedHeartbeats: integer('missedHeartbeats', options.missedHeartbeats ?? MAX_MISSED, 1, MAX_MISSED),
  };
}

function shapeOf({ attention, ffn, ep }: CoordinatorOptions): MeshShape {
  if (ep !== undefined) {
    if (attention !== undefined || ffn !== undefined)
      throw invalidArgument(
        'ep',
        ep,
        'absent where attention and ffn are given: a mesh has one kind of ranks or the other',
      );
    return { attention: 0, ffn: 0, ep: integer('ep', ep, 1, MAX_MEMBERS) };
  }
  const shape = {
    attention: integer('attention', attention, 1, MAX_MEMBERS - 1),
    ffn: integer('ffn', ffn, 1, MAX_MEMBERS - 1),
  };
  if (shape.attention + shape.ffn > MAX_MEMBERS)
    throw invalidArgument('attention + ffn', shape.attention + shape.ffn, `at most ${MAX_MEMBERS}`);
  return shape;
}

function integer(name: string, value: number | undefined, min: number, max: number): number {
  if (value !== undefined && Number.isInteger(value) && value >= min && value <= max) return value;
  throw invalidArgument(name, value, `an integer, ${min} to ${max}`);
}
