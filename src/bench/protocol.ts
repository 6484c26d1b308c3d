import type { TransportName } from '../mesh/transport-names.js';
import type { WaitPolicy } from '../mesh/wait-policy.js';
import type { Shape } from './workload.js';

/** Who does the work: the floors use no library; the others are the library, from C++ and from TypeScript. */
export type Contender =
  | 'memory'
  | 'sockets'
  | 'native'
  | 'typescript'
  | 'promises'
  | 'one-way'
  | `streamed-${number}`;

/** What the parent tells a rank; each is answered by one Answer. */
export type Command =
  | { do: 'join'; start: RankStart }
  | { do: 'listen' }
  | { do: 'connect'; ports: number[] }
  | { do: 'accept' }
  | { do: 'run'; contender: Contender; iterations: number; base: number }
  | { do: 'leave' };

export interface RankStart {
  coordinator: string;
  token: string;
  isAttention: boolean;
  rank: number;
  shape: Shape;
  transport: TransportName;
  wait: WaitPolicy;
  /** Which of the usable cores to stay on; undefined: any. */
  core: number | undefined;
  /** More ranks than cores: the floors yield instead of spinning. */
  crowded: boolean;
}

export interface Answer {
  port?: number;
  /** Whether it stays on a core of its own. */
  pinned?: boolean;
  /** Nanoseconds of each round; of attention ranks. */
  samples?: Float64Array;
  wrong?: number;
  /** What a contender of ours sent to every peer: messages, requests, bytes. */
  sent?: readonly [number, number, number];
  error?: string;
}
