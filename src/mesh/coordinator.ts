import { abortedError } from '../errors.js';
import { type CoordinatorOptions, coordinatorSettings } from './coordinator-options.js';
import { EmbeddedCoordinator } from './embedded-coordinator.js';
import type { Departure, Member, Roster } from './roster.js';

export type { CoordinatorOptions } from './coordinator-options.js';

/** What an event is about; `channel` is there for channels other than ''. */
export type OfChannel<What> = What & { channel?: string };

export interface CoordinatorEvents {
  joined: OfChannel<Member>;
  /** A member said that it leaves. */
  left: OfChannel<Departure>;
  /** A member's connection broke or went silent, or it broke the protocol. */
  lost: OfChannel<Departure>;
  /** All members have joined; the roster has epoch 1. */
  complete: OfChannel<Roster>;
}

/**
 * Brings the members of one mesh together and tells the survivors who is gone. It is never on the data path: a mesh
 * that is complete keeps working without it, but no longer learns of departures from it.
 *
 * It can do so for several meshes of the same shape, one for each *channel* that members name when they join; what is said
 * here of a mesh without a name is about the channel ''.
 *
 * It keeps its process alive until it is closed.
 */
export interface Coordinator extends AsyncDisposable {
  /** What members pass as `coordinator`: ws://127.0.0.1:40123, or wss with TLS. Holds the address listened on. */
  readonly url: string;
  readonly token: string;
  /** 16 bytes. */
  readonly meshId: Uint8Array;
  /** The members there are now in the channel ''; epoch 0 while some are missing. */
  readonly roster: Roster;
  /** Returns the function that takes the listener away again. */
  on<Name extends keyof CoordinatorEvents>(
    event: Name,
    listener: (event: CoordinatorEvents[Name]) => void,
  ): () => void;
  /** Closes every connection, stops listening, and resolves when all sockets are gone. Idempotent; never rejects. */
  close(): Promise<void>;
}

/**
 * Starts a coordinator for a mesh of `attention` x `ffn` ranks, or of `ep` ranks. Rejects with WEFT_INVALID_ARGUMENT, WEFT_SYSTEM when it
 * cannot listen, or WEFT_ABORTED.
 */
export async function startCoordinator(options: CoordinatorOptions): Promise<Coordinator> {
  const settings = coordinatorSettings(options);
  const { signal } = options;
  if (signal?.aborted) throw abortedError(signal, 'join');
  const coordinator = new EmbeddedCoordinator(settings);
  await coordinator.listen();
  if (signal?.aborted) {
    await coordinator.close();
    throw abortedError(signal, 'join');
  }
  coordinator.closeOn(signal);
  return coordinator;
}
