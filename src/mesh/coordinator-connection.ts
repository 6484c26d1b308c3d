import type { RawData, WebSocket } from 'ws';
import { isWeftError, WeftError } from '../errors.js';
import { encode } from './codec.js';
import { Heartbeat } from './heartbeat.js';
import { MAX_BACKLOG_BYTES, MAX_REASON, PROTOCOL_VERSION } from './limits.js';
import type { Logger } from './logger.js';
import type { Agree, Join, Prove, RefusalCode, Refused, ServerMessage } from './messages.js';
import { foreignVersion, parseClientMessage, REFUSAL_CODES } from './messages.js';
import { clientProof, newNonce, proofMatches, serverProof } from './proof.js';
import type { DepartureReason, Member } from './roster.js';

/** A member's place in a channel of its coordinator; absent: that of the channel ''. */
export interface Seat extends Member {
  channel?: string;
}

/** What a connection needs of its coordinator. */
export interface ConnectionHost {
  readonly token: string;
  readonly meshId: Uint8Array;
  readonly heartbeatMs: number;
  readonly missedHeartbeats: number;
  readonly logger: Logger;
  /** Gives it a rank. Throws the refusal. */
  join(request: Join): Seat;
  /** Follows `join`, once the connection counts as the member's: tells it and the others. */
  joined(connection: Connection, seat: Seat): void;
  /** What a member says about who is gone. Throws the refusal. */
  agree(seat: Seat, proposal: Agree): void;
  withdraw(seat: Seat, turn: number): void;
  /** Once, for a connection that had become a member. */
  departed(seat: Seat, reason: DepartureReason): void;
}

/**
 * One client of a coordinator: challenge, proof, join, then only `agree`, `withdraw` and `leave`. Nothing but the proof is looked at before
 * the proof holds; whatever comes out of order ends the connection.
 */
export class Connection {
  readonly #socket: WebSocket;
  readonly #host: ConnectionHost;
  readonly #remote: string;
  readonly #admitted: () => void;
  readonly #serverNonce: Buffer = newNonce();
  #state: 'challenged' | 'proven' | 'member' | 'done' = 'challenged';
  #member: Seat | undefined;
  #heartbeat: Heartbeat | undefined;

  /** `remote` names the client in the log; `admitted` is called when it becomes a member. */
  constructor(socket: WebSocket, host: ConnectionHost, remote: string, admitted: () => void) {
    this.#socket = socket;
    this.#host = host;
    this.#remote = remote;
    this.#admitted = admitted;
    socket.on('message', (data, isBinary) => this.#received(data, isBinary));
    socket.on('pong', () => this.#heartbeat?.alive());
    socket.on('close', () => this.#gone('lost'));
    // Faults of the socket or of its framing are followed by its close.
    socket.on('error', (error) => host.logger.debug({ remote, error }, 'control connection failed'));
    const { meshId } = host;
    this.send({ type: 'challenge', protocol: PROTOCOL_VERSION, meshId, serverNonce: this.#serverNonce });
  }

  send(message: ServerMessage): void {
    this.sendFrame(encode(message));
  }

  /** For a message to many, encoded once. */
  sendFrame(frame: Buffer): void {
    if (this.#state === 'done' || this.#socket.readyState !== this.#socket.OPEN) return;
    if (this.#socket.bufferedAmount > MAX_BACKLOG_BYTES) this.#cut('it does not read what it is sent');
    else this.#socket.send(frame);
  }

  /** Tells the client why, and closes. A member that is refused counts as lost. */
  refuse(error: WeftError): void {
    if (this.#state === 'done') return;
    const { remote, message } = { remote: this.#remote, message: error.message };
    this.#host.logger.warn({ remote, code: error.code, reason: message }, 'client refused');
    this.send(refusedMessage(error));
    this.close(1008, error.code);
  }

  /** Ends the connection in order; a member's with `reason`. */
  close(code: number, why: string, reason: DepartureReason = 'lost'): void {
    this.#gone(reason);
    this.#socket.close(code, why);
  }

  #received(data: RawData, isBinary: boolean): void {
    if (this.#state === 'done') return;
    this.#heartbeat?.alive();
    try {
      if (!isBinary || !(data instanceof Uint8Array)) {
        throw new WeftError('WEFT_PROTOCOL', 'control messages are binary frames, and this was text');
      }
      this.#handle(data);
    } catch (error) {
      // Only a fault of ours is not a WeftError; the client learns no more of it than that there was one.
      if (!isWeftError(error)) this.#host.logger.warn({ remote: this.#remote, error }, 'fault in a handler');
      this.refuse(isWeftError(error) ? error : new WeftError('WEFT_PROTOCOL', 'the coordinator failed'));
    }
  }

  #handle(frame: Uint8Array): void {
    const version = this.#state === 'challenged' ? foreignVersion(frame) : undefined;
    if (version !== undefined) throw versionError(version);
    const message = parseClientMessage(frame);
    if (message.type === 'prove' && this.#state === 'challenged') this.#prove(message);
    else if (message.type === 'join' && this.#state === 'proven') this.#join(message);
    else if (message.type === 'agree' && this.#state === 'member') this.#host.agree(this.#member!, message);
    else if (message.type === 'withdraw' && this.#state === 'member')
      this.#host.withdraw(this.#member!, message.turn);
    else if (message.type === 'leave' && this.#state === 'member') this.close(1000, 'left', 'left');
    else throw new WeftError('WEFT_PROTOCOL', `"${message.type}" is out of order here`);
  }

  #prove({ clientNonce, proof }: Prove): void {
    const { token, meshId } = this.#host;
    const input = { token, meshId, serverNonce: this.#serverNonce, clientNonce };
    if (!proofMatches(clientProof(input), proof)) {
      throw new WeftError('WEFT_AUTH', 'the token is not the one of this mesh');
    }
    this.#state = 'proven';
    this.send({ type: 'welcome', proof: serverProof(input) });
  }

  #join(message: Join): void {
    const member = this.#host.join(message);
    this.#member = member;
    this.#state = 'member';
    this.#heartbeat = new Heartbeat({
      intervalMs: this.#host.heartbeatMs,
      missed: this.#host.missedHeartbeats,
      beat: () => this.#socket.ping(),
      lost: () => this.#cut('it does not answer pings'),
    });
    this.#admitted();
    this.#host.joined(this, member);
  }

  /** The departure follows with the socket's close, never within a message to all: the others get theirs in order. */
  #cut(why: string): void {
    this.#host.logger.warn({ remote: this.#remote, member: this.#member?.member, why }, 'connection cut');
    this.#heartbeat?.stop();
    this.#socket.terminate();
  }

  #gone(reason: DepartureReason): void {
    if (this.#state === 'done') return;
    this.#state = 'done';
    this.#heartbeat?.stop();
    if (this.#member !== undefined) this.#host.departed(this.#member, reason);
  }
}

function versionError(theirs: number): WeftError {
  return new WeftError(
    'WEFT_PROTOCOL',
    `the coordinator speaks protocol version ${PROTOCOL_VERSION} and the client ${theirs}; ` +
      'install the same version of tensorweft on both sides',
    { phase: 'join' },
  );
}

function refusedMessage(error: WeftError): Refused {
  const code = REFUSAL_CODES.find((known) => known === error.code) ?? ('WEFT_PROTOCOL' satisfies RefusalCode);
  const { fields, missing } = (error.details ?? {}) as Pick<Refused, 'fields' | 'missing'>;
  const reason = error.message.slice(0, MAX_REASON);
  return { type: 'refused', code, reason, ...(fields && { fields }), ...(missing && { missing }) };
}
