import { invalidArgument, type Phase } from '../../errors.js';
import type { ExpertBatch } from '../batch.js';
import type { Exchanges } from './exchanges.js';
import type { NdArray } from './nd-array.js';
import type { OpenRound } from './open-round.js';
import type { PackedSizes } from './packed.js';
import type { Routing } from './routing.js';

/** What a combine needs of its dispatch. */
export interface LowLatencyFacts {
  readonly exchanges: Exchanges;
  readonly round: OpenRound;
  readonly routing: Routing;
  readonly sizes: PackedSizes;
  readonly numExperts: number;
  readonly srcInfo: NdArray<Int32Array>;
}

/** What `lowLatencyDispatch()` returns for its `lowLatencyCombine()`. Its arrays are filled when the rows are. */
export class LowLatencyHandle {
  /** [experts, room] the token, at its source, of each row of `recvX`. Memory as that of `recvX`. */
  readonly srcInfo: NdArray<Int32Array>;
  /** [experts, ranks] the rows of each source: their number in the lower 32 bits, the first in the upper. */
  readonly layoutRange: NdArray<BigInt64Array>;
  readonly numMaxDispatchTokensPerRank: number;
  readonly hidden: number;
  readonly numExperts: number;
  /** The number of the round, 1, 2, 3 and so on for the dispatches of one kind. */
  readonly generation: number;
  /** @internal */
  readonly facts: LowLatencyFacts;

  /** @internal */
  constructor(facts: LowLatencyFacts) {
    const { experts, ranks, room, hidden } = facts.sizes;
    this.facts = facts;
    this.srcInfo = facts.srcInfo;
    this.layoutRange = { data: new BigInt64Array(experts * ranks), shape: [experts, ranks] };
    this.numMaxDispatchTokensPerRank = room / ranks;
    this.hidden = hidden;
    this.numExperts = facts.numExperts;
    this.generation = facts.round.generation;
  }

  /** @internal */
  fill({ sourceBegins, sourceCounts }: ExpertBatch): void {
    const { ranks, room } = this.facts.sizes;
    const { data } = this.layoutRange;
    for (let i = 0; i < data.length; i++) {
      const begin = sourceBegins[i]! - Math.floor(i / ranks) * room;
      data[i] = (BigInt(begin) << 32n) | BigInt(sourceCounts[i]!);
    }
  }
}

/** The handle's facts, when it is one of this buffer. */
export function factsOf(handle: LowLatencyHandle, exchanges: Exchanges, phase: Phase): LowLatencyFacts {
  if (!(handle instanceof LowLatencyHandle) || handle.facts.exchanges !== exchanges)
    throw invalidArgument('handle', handle, 'one that lowLatencyDispatch() of this buffer has returned', {
      phase,
    });
  return handle.facts;
}
