import type { RawData, WebSocket } from 'ws';
import { isWeftError, WeftError } from '../errors.js';
import { encode } from './codec.js';
import { PROTOCOL_VERSION } from './limits.js';
import type { ClientMessage, ServerMessage } from './messages.js';
import { foreignVersion, parseServerMessage } from './messages.js';

/** Messages that may arrive while none is being waited for. A coordinator speaks at most a few in a row. */
const MAX_UNREAD = 16;

/** Who takes the messages of a link. */
interface Reader {
  /** A WeftError it throws ends the link. */
  message(message: ServerMessage): void;
  /** Once; no message follows. */
  ended(error: WeftError): void;
}

/**
 * The client's end of a connection to a coordinator: validated messages in order, then one terminal error. What arrives
 * before somebody reads is kept.
 */
export class ControlLink {
  readonly #socket: WebSocket;
  readonly #url: string;
  readonly #queue: ServerMessage[] = [];
  #end: WeftError | undefined;
  #reader: Reader | undefined;
  #first = true;
  readonly #closed: Promise<void>;

  constructor(socket: WebSocket, url: string) {
    this.#socket = socket;
    this.#url = url;
    socket.on('message', (data, isBinary) => this.#received(data, isBinary));
    // What went wrong is known by the close that follows.
    socket.on('error', (error) => this.#fail(`the connection to the coordinator at ${url} failed`, error));
    this.#closed = new Promise((resolve) => {
      socket.on('close', (code) => {
        this.#fail(`the coordinator at ${url} closed the connection (code ${code})`);
        resolve();
      });
    });
  }

  /** The next message; rejects with the terminal error. One call at a time. */
  next(): Promise<ServerMessage> {
    return new Promise((resolve, reject) => {
      this.read({
        message: (message) => {
          this.#reader = undefined;
          resolve(message);
        },
        ended: reject,
      });
    });
  }

  /** Hands everything to `reader` from now on, what was kept first. */
  read(reader: Reader): void {
    this.#reader = reader;
    while (this.#reader === reader && this.#queue.length > 0) this.#deliver(reader, this.#queue.shift()!);
    if (this.#reader === reader && this.#end !== undefined) reader.ended(this.#end);
  }

  onPing(listener: () => void): void {
    this.#socket.on('ping', listener);
  }

  send(message: ClientMessage): void {
    // A socket that is closing drops it; the reader learns of the close.
    this.#socket.send(encode(message), () => {});
  }

  /** Cuts the connection. `error` becomes the terminal one when there is none yet. Resolves when the socket is gone. */
  destroy(error: WeftError): Promise<void> {
    this.#finish(error);
    this.#socket.terminate();
    return this.#closed;
  }

  /** Waits for the coordinator to close, up to `ms`, then cuts the connection. */
  async drained(ms: number): Promise<void> {
    const cut = setTimeout(() => this.#socket.terminate(), ms);
    await this.#closed;
    clearTimeout(cut);
  }

  #received(data: RawData, isBinary: boolean): void {
    if (this.#end !== undefined) return;
    try {
      if (!isBinary || !(data instanceof Uint8Array)) {
        throw new WeftError('WEFT_PROTOCOL', 'it sent text instead of binary frames');
      }
      const version = this.#first ? foreignVersion(data) : undefined;
      if (version !== undefined) throw versionError(this.#url, version);
      this.#first = false;
      const message = parseServerMessage(data);
      if (this.#reader !== undefined) this.#deliver(this.#reader, message);
      else if (this.#queue.push(message) > MAX_UNREAD) {
        throw new WeftError('WEFT_PROTOCOL', 'it talks without waiting for answers');
      }
    } catch (error) {
      this.#abandon(error);
    }
  }

  #deliver(reader: Reader, message: ServerMessage): void {
    try {
      reader.message(message);
    } catch (error) {
      this.#abandon(error);
    }
  }

  /** What the coordinator sent cannot be. */
  #abandon(error: unknown): void {
    this.#finish(
      isWeftError(error) ? error : new WeftError('WEFT_PROTOCOL', String(error), { cause: error }),
    );
    this.#queue.length = 0;
    this.#socket.terminate();
  }

  #fail(message: string, cause?: unknown): void {
    this.#finish(
      new WeftError('WEFT_UNAVAILABLE', message, { phase: 'join', details: { url: this.#url }, cause }),
    );
  }

  #finish(error: WeftError): void {
    if (this.#end !== undefined) return;
    this.#end = error;
    this.#reader?.ended(error);
  }
}

function versionError(url: string, theirs: number): WeftError {
  return new WeftError(
    'WEFT_PROTOCOL',
    `the coordinator at ${url} speaks protocol version ${theirs} and this client ${PROTOCOL_VERSION}; ` +
      'install the same version of tensorweft on both sides',
    { phase: 'join', details: { ours: PROTOCOL_VERSION, theirs } },
  );
}
