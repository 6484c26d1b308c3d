import { invalidArgument, type Phase, WeftError } from '../../errors.js';
import type { ExpertBatch } from '../batch.js';
import type { Exchanges } from './exchanges.js';
import type { NdArray } from './nd-array.js';
import type { OpenRound } from './open-round.js';
import type { Routing } from './routing.js';
import type { WeightsBack } from './weights-back.js';

/** A round of a handle, and what was received in it. */
export interface NormalRound {
  readonly round: OpenRound;
  readonly hidden: number;
  /** Rows of `recvX`, those that pad it included. */
  readonly recvRows: number;
  /** Sent already, when a combine is made again. */
  weightsBack?: WeightsBack;
}

/** Where a routing took its rows: what `dispatch()` returns for its `combine()`, and for further dispatches the same way. */
export class DispatchHandle {
  /** Rows received: [0, numRecvTokens) of `recvX`, ordered by their source and then by token. */
  readonly numRecvTokens: number;
  /** [numRecvTokens] the token of each row, at its source. */
  readonly recvSrcIdx: Int32Array;
  /** [ranks] rows of each source and of those before it. */
  readonly rankPrefix: Int32Array;
  /** [tokens, ranks] 1 where a token of ours went to a rank. */
  readonly isTokenInRank: NdArray<Uint8Array>;
  readonly numExperts: number;
  /** @internal */
  readonly exchanges: Exchanges;
  /** @internal */
  readonly routing: Routing;
  /** Dispatched with this handle and not combined, the oldest first. @internal */
  readonly rounds: NormalRound[] = [];

  /** @internal */
  constructor(
    exchanges: Exchanges,
    routing: Routing,
    numExperts: number,
    isTokenInRank: NdArray<Uint8Array>,
    batch: ExpertBatch,
  ) {
    this.exchanges = exchanges;
    this.routing = routing;
    this.numExperts = numExperts;
    this.isTokenInRank = isTokenInRank;
    this.numRecvTokens = batch.rows;
    this.recvSrcIdx = new Int32Array(batch.rows);
    this.rankPrefix = new Int32Array(exchanges.ranks);
    let next = 0;
    for (let rank = 0; rank < exchanges.ranks; rank++) {
      const from = batch.parts.find((part) => part.rank === rank);
      if (from !== undefined) {
        this.recvSrcIdx.set(from.tokenOf.subarray(0, from.rows), next);
        next += from.rows;
      }
      this.rankPrefix[rank] = next;
    }
  }

  /** The round that a combine is about. @internal */
  get oldest(): NormalRound {
    const round = this.rounds[0];
    if (round !== undefined) return round;
    throw new WeftError(
      'WEFT_STATE',
      'every dispatch with this handle was combined already: dispatch once more, with the handle',
      { phase: 'combine' },
    );
  }
}

/** Throws unless it is a handle of this buffer. */
export function checkHandle(handle: DispatchHandle, exchanges: Exchanges, phase: Phase): void {
  if (!(handle instanceof DispatchHandle) || handle.exchanges !== exchanges)
    throw invalidArgument('handle', handle, 'one that dispatch() of this buffer has returned', { phase });
}
