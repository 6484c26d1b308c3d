import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import { systemError, WeftError } from '../errors.js';
import { ADMISSION_MS, CLOSE_MS, KEEP_ALIVE_MS, MAX_FRAME_BYTES, SPARE_PENDING } from './limits.js';

/** Certificate and private key in PEM. */
export interface ServerTls {
  cert: string | Buffer;
  key: string | Buffer;
}

export interface ServerOptions {
  host: string;
  port: number;
  tls?: ServerTls | undefined;
  /** Of a mesh: so many may knock at the same moment. */
  members: number;
  /** Meshes, whose members are expected to stay. */
  channels: number;
  /** `admit` takes the connection out of those which must prove themselves in time. */
  connected: (socket: WebSocket, admit: () => void, remote: string) => void;
}

export interface ControlServer {
  readonly url: string;
  /** Stops listening and resolves when the last connection is gone; cuts those that do not close in `CLOSE_MS`. */
  close(): Promise<void>;
}

/**
 * The coordinator's listening side: WebSocket upgrades, with a cap on what strangers can hold. Every TCP connection is
 * pending from its first byte until `admit`: it is dropped after `ADMISSION_MS`, or as the oldest when there are too
 * many, so that a flood of idle connections cannot keep members out for longer than a handshake takes.
 */
export async function openServer(options: ServerOptions): Promise<ControlServer> {
  const { tls, host, port, members, channels } = options;
  const server = createBare(tls);
  const maxPending = members + SPARE_PENDING;
  // Members, strangers, and as many spare ones that are being closed.
  server.maxConnections = members * channels + maxPending + SPARE_PENDING;
  const sockets = new Set<Socket>();
  const pending = new Map<Socket, NodeJS.Timeout>();

  const admit = (socket: Socket): void => {
    clearTimeout(pending.get(socket));
    pending.delete(socket);
  };
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    socket.once('close', () => sockets.delete(socket));
  });
  // Until then a TLS connection is limited by the server's own count and handshake timeout.
  server.on(tls === undefined ? 'connection' : 'secureConnection', (socket: Socket) => {
    const late = setTimeout(() => socket.destroy(), ADMISSION_MS);
    pending.set(socket, late);
    socket.once('close', () => admit(socket));
    const [oldest] = pending.keys();
    if (pending.size > maxPending) oldest?.destroy();
  });

  // The types lag behind the library in `closeTimeout`: how long it waits for the peer's close frame.
  const limits = { maxPayload: MAX_FRAME_BYTES, perMessageDeflate: false, closeTimeout: CLOSE_MS };
  const upgrader = new WebSocketServer({ noServer: true, clientTracking: false, ...limits });
  server.on('upgrade', (request, stream, head) => {
    const socket = request.socket;
    const remote = `${socket.remoteAddress}:${socket.remotePort}`;
    upgrader.handleUpgrade(request, stream, head, (ws) => options.connected(ws, () => admit(socket), remote));
  });

  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => reject(listenError(host, port, cause)));
    server.listen({ host, port }, resolve);
  });
  // Later errors are those of single connections, which have listeners of their own.
  server.on('error', () => {});

  const { address, port: bound, family } = server.address() as AddressInfo;
  const url = `${tls === undefined ? 'ws' : 'wss'}://${family === 'IPv6' ? `[${address}]` : address}:${bound}`;
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      for (const socket of pending.keys()) socket.destroy();
      const cut = setTimeout(() => {
        for (const socket of sockets) socket.destroy();
      }, CLOSE_MS);
      server.close(() => {
        clearTimeout(cut);
        resolve();
      });
    });
  return { url, close };
}

function createBare(tls: ServerTls | undefined): ReturnType<typeof createHttpServer> {
  if (tls === undefined) return createHttpServer(upgradeRequired);
  try {
    return createHttpsServer({ ...tls, handshakeTimeout: ADMISSION_MS }, upgradeRequired);
  } catch (cause) {
    throw new WeftError('WEFT_INVALID_ARGUMENT', `tls: the certificate or key is not usable PEM: ${cause}`, {
      cause,
    });
  }
}

function upgradeRequired(_request: unknown, response: import('node:http').ServerResponse): void {
  response.writeHead(426, { connection: 'close', 'content-type': 'text/plain' });
  response.end('tensorweft coordinator: speaks WebSocket only\n');
}

function listenError(host: string, port: number, cause: NodeJS.ErrnoException): WeftError {
  const next =
    cause.code === 'EADDRINUSE' ? '; choose another port, or 0 for any free one' : '; check host and port';
  return systemError(`the coordinator cannot listen on ${host} port ${port}${next}`, cause, {
    phase: 'join',
  });
}
