import { closedError, invalidArgument, WeftError } from '../errors.js';
import { Code, type Ended, type NativeFfn, native } from '../native.js';
import type { PendingArrivals } from './arrival.js';
import { type ExchangeContext, sources } from './context.js';
import { waitFailure } from './failure.js';
import { FfnBatch } from './ffn-batch.js';
import { FfnPart, type PartFacts, PartViews } from './ffn-part.js';
import { type Gather, nativeGather } from './gather.js';
import { type Outcome, Pending } from './pending.js';
import {
  type BlockingOptions,
  checkCancel,
  checkSignal,
  nativeDeadline,
  skipsLost,
  type WaitOptions,
} from './wait.js';

export interface CollectChoices {
  /** Default 'any'. */
  gather?: Gather;
  /** Hand rounds over when they begin, not when all their rows are there: see `FfnPart.available`. Default false. */
  streamed?: boolean;
  /**
   * When an attention rank is lost: 'error' throws WEFT_PEER_LOST once (collecting again goes on with the others),
   * 'skip' goes on without it. A rank that closes its mesh just stops sending. Default 'error'.
   */
  onPeerLoss?: 'error' | 'skip';
}

export interface CollectOptions extends WaitOptions, CollectChoices {}
export interface BlockingCollectOptions extends BlockingOptions, CollectChoices {}

const REPORT_WORDS = 8;

/** The waits that the service thread finishes. */
interface PendingWaits {
  collect?: { native: NativeFfn; wait: Pending };
  readonly arrivals: PendingArrivals;
}

/** The FFN side of a mesh: collect rounds of attention ranks, write outputs in place, reply. */
export class FfnSide {
  readonly #context: ExchangeContext;
  /** @internal */
  readonly native: NativeFfn;
  readonly #report: Float64Array;
  readonly #views: PartViews[][];
  readonly #pending: PendingWaits = { arrivals: new Map() };

  /** @internal */
  constructor(context: ExchangeContext) {
    const { endpoint, layout, attention } = context;
    this.#context = context;
    this.native = new native.Ffn(endpoint, onEnded(this.#pending));
    this.#report = new Float64Array(this.native.report());
    const at = endpoint.layout();
    this.#views = Array.from({ length: attention }, (_, rank) => {
      const inbound = endpoint.inbound(rank);
      return Array.from(
        { length: layout.depth },
        (_, slot) => new PartViews(context, this.native.partMemory(rank, slot), inbound, at, rank, slot),
      );
    });
  }

  /**
   * Batches until every attention rank has closed its mesh. Waits as long as it takes, unless `deadlineMs` is given:
   * then a batch that does not come in that time ends the iteration with WEFT_DEADLINE.
   *
   * @throws WeftError WEFT_DEADLINE, WEFT_ABORTED, WEFT_PEER_LOST (iterate again to go on), WEFT_PROTOCOL, WEFT_CLOSED
   */
  async *batches(options: CollectOptions = {}): AsyncGenerator<FfnBatch, void, void> {
    for (;;) {
      const batch = await this.next({
        ...options,
        deadlineMs: options.deadlineMs ?? Number.POSITIVE_INFINITY,
      });
      if (batch === undefined) return;
      yield batch;
    }
  }

  /** The next batch; undefined when every attention rank has closed its mesh. */
  async next(options: CollectOptions = {}): Promise<FfnBatch | undefined> {
    const { deadlineMs = this.#context.deadlineMs, signal } = options;
    checkSignal(signal, 'collect');
    this.#checkIdle();
    const [how, count, withinMs] = this.#aim(options);
    const code = this.native.collectStart(how, count, withinMs, nativeDeadline(deadlineMs));
    let outcome: Outcome = { code, blamed: -1 };
    if (code === Code.again) {
      const wait = new Pending(signal, () => this.native.collectCancel());
      this.#pending.collect = { native: this.native, wait };
      outcome = await wait.promise;
    } else if (code !== Code.ok) {
      outcome.blamed = this.native.blamed();
    }
    return this.#batch(outcome, deadlineMs, signal?.reason);
  }

  /** The same, blocking the thread: for engines that run their loop in a worker thread. */
  nextSync(options: BlockingCollectOptions = {}): FfnBatch | undefined {
    const { deadlineMs = this.#context.deadlineMs, signal, cancel } = options;
    checkSignal(signal, 'collect');
    checkCancel(cancel);
    this.#checkIdle();
    const [how, count, withinMs] = this.#aim(options);
    const code = this.native.collectSync(how, count, withinMs, nativeDeadline(deadlineMs), cancel);
    return this.#batch({ code, blamed: code === Code.ok ? -1 : this.native.blamed() }, deadlineMs, undefined);
  }

  #aim(options: CollectChoices): [how: number, count: number, withinMs: number] {
    const { gather = 'any', streamed = false, onPeerLoss } = options;
    if (typeof streamed !== 'boolean') throw invalidArgument('streamed', streamed, 'true or false');
    const [kind, count, withinMs] = nativeGather(gather, this.#context.attention);
    return [kind + (streamed ? 4 : 0) + (skipsLost(onPeerLoss) ? 8 : 0), count, withinMs];
  }

  #checkIdle(): void {
    if (this.#context.isClosed()) throw closedError('this mesh', 'collect');
    if (this.#pending.collect === undefined) return;
    throw new WeftError('WEFT_STATE', 'a batch is being waited for already; one wait at a time', {
      phase: 'collect',
    });
  }

  #batch(outcome: Outcome, deadlineMs: number, reason: unknown): FfnBatch | undefined {
    const { code } = outcome;
    if (code === Code.unavailable) return undefined; // every attention rank has left
    if (code !== Code.ok)
      throw waitFailure(outcome, this.#context, {
        phase: 'collect',
        deadlineMs,
        reason,
        late: () => sources(this.#context, (rank) => this.native.waitsFor(rank)),
      });
    const parts: FfnPart[] = [];
    const count = this.#report[0]!;
    for (let i = 0; i < count; i++) {
      const report = this.#report;
      const at = 1 + i * REPORT_WORDS;
      const facts: PartFacts = {
        rank: report[at]!,
        generation: report[at + 1]!,
        tokens: report[at + 2]!,
        rows: report[at + 3]!,
        tag: report[at + 4]!,
        metaBytes: report[at + 5]!,
        selected: report[at + 6]!,
        waitedUs: report[at + 7]!,
      };
      const views = this.#views[facts.rank]![facts.generation % this.#context.layout.depth]!;
      parts.push(new FfnPart(this.native, this.#context, views, this.#pending.arrivals, facts));
    }
    return new FfnBatch(this.#context, parts);
  }
}

/** As onCombined() of attention.ts: made where its scope has nothing else, so that it does not hold the native side. */
function onEnded(pending: PendingWaits): Ended {
  return (which, code, blamed) => {
    if (which > 0) {
      const arrival = pending.arrivals.get(which);
      pending.arrivals.delete(which);
      arrival?.end(code, blamed);
      return;
    }
    const ended = pending.collect;
    if (ended === undefined) return;
    delete pending.collect;
    ended.native.collectDone(code);
    ended.wait.end(code, blamed);
  };
}
