import { deadlineError, invalidArgument, isWeftError, WeftError } from '../errors.js';
import { toConfigObject } from './config-hash.js';
import { type ClientTls, checkUrl, DialError, dial, unreachable } from './control-dial.js';
import { type Handshake, type HandshakeInput, shakeHands } from './control-handshake.js';
import type { ControlLink } from './control-link.js';
import { type ControlSession, OpenSession } from './control-session.js';
import { MAX_CHANNEL_NAME, MAX_MEMBERS } from './limits.js';
import { checkEndpoint } from './messages.js';
import type { EndpointDescriptor, Role } from './roster.js';
import { ROLES } from './roster.js';
import { Scope } from './scope.js';

export type { ControlSession, WaitOptions } from './control-session.js';

export interface JoinControlOptions {
  /** URL of the coordinator: ws:// or wss://. */
  coordinator: string;
  token: string;
  role: Role;
  /** Default: the lowest rank of the role that is free. */
  rank?: number | undefined;
  /** Which of the coordinator's meshes, a name of at most 64 characters. Default ''. */
  channel?: string | undefined;
  /** What must be equal on all members; JSON. */
  config: object;
  /** How the others reach this member. */
  endpoint: EndpointDescriptor;
  tls?: ClientTls | undefined;
  /** Milliseconds for connecting and joining, Infinity for no limit. Default 30,000. */
  deadlineMs?: number | undefined;
  /** Covers the joining; the session has methods of its own to end it. */
  signal?: AbortSignal | undefined;
}

const FIRST_RETRY_MS = 25;
const LAST_RETRY_MS = 500;

/**
 * Joins a mesh at its coordinator; resolves when this member has its rank, others may still be missing
 * (`ControlSession.roster`). Processes may start in any order: until the deadline it tries again while nobody listens
 * there, and when the connection is lost before the rank is given.
 *
 * Rejects with WEFT_UNAVAILABLE (no coordinator there), WEFT_DEADLINE (it stopped answering), WEFT_ABORTED, WEFT_AUTH
 * (one side does not know the token, or its certificate is not accepted), WEFT_CONFIG_MISMATCH (`details.fields`: field,
 * expected, given), WEFT_STATE (the rank is taken, the mesh complete), WEFT_PROTOCOL, WEFT_INVALID_ARGUMENT.
 */
export async function joinControl(options: JoinControlOptions): Promise<ControlSession> {
  const { signal, tls, deadlineMs = 30_000 } = options;
  const url = checkUrl(options.coordinator);
  const input = handshakeInput(options);
  let waitingFor = 'connection to the coordinator';
  let lastFailure: DialError | undefined;
  const expired = (): WeftError =>
    lastFailure !== undefined
      ? unreachable(url, lastFailure, deadlineMs)
      : deadlineError({
          phase: 'join',
          deadlineMs,
          missing: `${waitingFor} at ${url}`,
          next: 'check that a coordinator runs there, or raise deadlineMs',
          details: { url },
        });

  const scope = new Scope({ deadlineMs, signal, phase: 'join', expired });
  try {
    for (let pause = FIRST_RETRY_MS; ; pause = Math.min(pause * 2, LAST_RETRY_MS)) {
      let link: ControlLink | undefined;
      try {
        scope.signal.throwIfAborted();
        waitingFor = 'connection to the coordinator';
        link = await dial(url, scope, tls);
        lastFailure = undefined;
        const shaken = await shakeHands(link, input, scope, (step) => {
          waitingFor = step;
        });
        return open(link, input.role, shaken);
      } catch (error) {
        if (link !== undefined) await link.destroy(asWeftError(error));
        scope.signal.throwIfAborted();
        lastFailure = passingFailure(error, url);
      }
      // Half of it at random, so that members which were turned away together do not return together.
      await scope.sleep(pause * (0.5 + Math.random() / 2));
    }
  } finally {
    scope.close();
  }
}

function open(link: ControlLink, role: Role, { meshId, nonce, accepted }: Handshake): ControlSession {
  return new OpenSession({ link, role, meshId, nonce, accepted });
}

/** The failure to try again after; throws what another attempt does not mend. */
function passingFailure(error: unknown, url: string): DialError {
  if (error instanceof DialError) {
    if (error.passing) return error;
    throw unreachable(url, error);
  }
  // A lost connection, and nothing else, has this code here: a refusal has one of `RefusalCode`.
  if (isWeftError(error, 'WEFT_UNAVAILABLE')) {
    return new DialError(error.message, 'WEFT_UNAVAILABLE', true, error);
  }
  throw error;
}

function asWeftError(error: unknown): WeftError {
  return isWeftError(error) ? error : new WeftError('WEFT_PROTOCOL', String(error), { cause: error });
}

function handshakeInput(options: JoinControlOptions): HandshakeInput {
  const { token, role, rank, config, endpoint, channel = '' } = options;
  if (typeof token !== 'string' || token === '') {
    throw invalidArgument('token', typeof token, "the mesh's token, a string that is not empty");
  }
  if (!ROLES.includes(role)) throw invalidArgument('role', role, "'attention', 'ffn' or 'ep'");
  if (rank !== undefined && !(Number.isInteger(rank) && rank >= 0 && rank < MAX_MEMBERS)) {
    throw invalidArgument('rank', rank, 'an integer, 0 or more');
  }
  if (typeof config !== 'object' || config === null)
    throw invalidArgument('config', config, 'a plain object');
  checkEndpoint(endpoint);
  if (typeof channel !== 'string' || channel.length > MAX_CHANNEL_NAME || /\p{Surrogate}/u.test(channel))
    throw invalidArgument('channel', channel, `a string of at most ${MAX_CHANNEL_NAME} characters`);
  const seat = { role, ...(rank !== undefined && { rank }), ...(channel !== '' && { channel }) };
  return { token, ...seat, config: toConfigObject(config), endpoint };
}
