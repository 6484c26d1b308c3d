import { WebSocket } from 'ws';
import { invalidArgument, WeftError } from '../errors.js';
import { ControlLink } from './control-link.js';
import { CLOSE_MS, KEEP_ALIVE_MS, MAX_FRAME_BYTES } from './limits.js';
import type { Scope } from './scope.js';

export interface ClientTls {
  /** PEM of the authority that signed the coordinator's certificate, when the system does not know it. */
  ca?: string | Buffer | undefined;
}

/** Faults of the network which pass when the coordinator's process or machine comes up. */
const PASSING: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'ENOTFOUND',
  'EAI_AGAIN',
]);

/** A failed attempt; `passing` when the next one may succeed. */
export class DialError extends Error {
  readonly passing: boolean;
  readonly code: 'WEFT_UNAVAILABLE' | 'WEFT_AUTH';

  constructor(message: string, code: 'WEFT_UNAVAILABLE' | 'WEFT_AUTH', passing: boolean, cause?: unknown) {
    super(message, { cause });
    this.passing = passing;
    this.code = code;
  }
}

/** One attempt to connect. Rejects with a DialError, or with the scope's reason. */
export function dial(url: string, scope: Scope, tls: ClientTls = {}): Promise<ControlLink> {
  return new Promise((resolve, reject) => {
    const limits = { maxPayload: MAX_FRAME_BYTES, perMessageDeflate: false, closeTimeout: CLOSE_MS };
    const socket = new WebSocket(url, { ...limits, ...(tls.ca !== undefined && { ca: tls.ca }) });
    // From the start: the challenge may arrive with the upgrade.
    const link = new ControlLink(socket, url);
    const settle = (settled: () => void): void => {
      scope.signal.removeEventListener('abort', abort);
      settled();
    };
    const abort = (): void => {
      settle(() => reject(scope.signal.reason));
      socket.terminate();
    };
    scope.signal.addEventListener('abort', abort, { once: true });
    socket.once('upgrade', (response) => response.socket.setKeepAlive(true, KEEP_ALIVE_MS));
    socket.once('open', () => settle(() => resolve(link)));
    socket.once('error', (error) => settle(() => reject(failure(error))));
    socket.once('unexpected-response', (request, response) => {
      const status = response.statusCode ?? 0;
      const text = `it answers HTTP ${status}, which no coordinator does`;
      // A proxy in front of one may, while that one starts.
      settle(() => reject(new DialError(text, 'WEFT_UNAVAILABLE', status >= 500)));
      request.destroy();
    });
    if (scope.signal.aborted) abort();
  });
}

function failure(error: NodeJS.ErrnoException): DialError {
  const code = error.code ?? '';
  if (PASSING.has(code)) return new DialError(code, 'WEFT_UNAVAILABLE', true, error);
  if (/CERT|SIGNATURE|ISSUER|ALTNAME/.test(code)) {
    return new DialError(`its TLS certificate is not accepted (${code})`, 'WEFT_AUTH', false, error);
  }
  return new DialError(error.message || code, 'WEFT_UNAVAILABLE', false, error);
}

/** The URL as given, once it is known to be one. */
export function checkUrl(url: unknown): string {
  const allowed = 'the ws:// or wss:// URL of a coordinator, such as "ws://127.0.0.1:7000"';
  if (typeof url !== 'string' || !URL.canParse(url)) throw invalidArgument('coordinator', url, allowed);
  const { protocol, hash } = new URL(url);
  if (!['ws:', 'wss:'].includes(protocol) || hash !== '') throw invalidArgument('coordinator', url, allowed);
  return url;
}

/** WEFT_UNAVAILABLE, or WEFT_AUTH for a certificate: says where nobody answered and what to start there. */
export function unreachable(url: string, error: DialError, waitedMs?: number): WeftError {
  const waited = waitedMs === undefined ? '' : ` within ${waitedMs} ms`;
  const next =
    error.code === 'WEFT_AUTH'
      ? 'pass its authority as tls.ca, or use the name the certificate is for'
      : 'start one there with startCoordinator() or `weft coordinator`, or correct the URL';
  return new WeftError(error.code, `no coordinator answers at ${url}${waited}: ${error.message}; ${next}`, {
    phase: 'join',
    details: { url },
    cause: error.cause,
  });
}
