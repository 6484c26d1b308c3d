import type { TransportName } from '../../mesh/transport-names.js';
import type { WaitPolicy } from '../../mesh/wait-policy.js';
import type { EpShape } from './shape.js';

/**
 * The floors use no library; 'native' is the library, with rows copied expert by expert as the floors do; 'index' leaves
 * them where they are.
 */
export type EpContender = 'memory' | 'streamed' | 'sockets' | 'native' | 'index';

/** What the parent tells a rank; each is answered by one EpAnswer. */
export type EpCommand =
  | { do: 'join'; start: EpStart }
  | { do: 'listen' }
  | { do: 'connect'; ports: number[] }
  | { do: 'accept' }
  | { do: 'run'; contender: EpContender; iterations: number; base: number }
  | { do: 'leave' };

export interface EpStart {
  coordinator: string;
  token: string;
  rank: number;
  shape: EpShape;
  transport: TransportName;
  wait: WaitPolicy;
  /** Which of the usable cores to stay on; undefined: any. */
  core: number | undefined;
  /** More ranks than cores: the floors yield instead of spinning. */
  crowded: boolean;
}

export interface EpAnswer {
  port?: number;
  /** Whether it stays on a core of its own. */
  pinned?: boolean;
  /** Nanoseconds of each round. */
  dispatch?: Float64Array;
  combine?: Float64Array;
  wrong?: number;
  /** Rows for other ranks, each once for a rank, and choices of their experts. */
  rowsAway?: number;
  choicesAway?: number;
  /** Bytes sent by transports that count. */
  sentBytes?: number;
  memoryBytes?: number;
  error?: string;
}
