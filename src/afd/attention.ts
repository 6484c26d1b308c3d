import { closedError, invalidArgument, type PeerName, WeftError } from '../errors.js';
import { Code, type Ended, type NativeAttention, native } from '../native.js';
import { Tensor } from '../tensor/tensor.js';
import { AttentionSlot } from './attention-slot.js';
import { type ExchangeContext, replierRole } from './context.js';
import { dispatchColumns, replyType } from './layout.js';
import { checkOnPeerLoss, type OnPeerLoss } from './loss.js';
import type { Pending } from './pending.js';
import { SlotViews } from './slot-views.js';

export interface ClaimOptions {
  /** Rows of this round, 0 to `maxTokens`. */
  tokens: number;
  /** A 32-bit number for the FFN side, such as layer << 16 | microBatch. Default 0. */
  tag?: number;
  /** What becomes of the round when an FFN rank is gone; `combine()` may say otherwise. Default 'error'. */
  onPeerLoss?: OnPeerLoss;
  /** Metadata for the FFN side, copied now; at most `metaBytes` of the layout. */
  meta?: Uint8Array;
}

/** A combine that the service thread finishes. @internal */
export interface PendingCombine {
  readonly native: NativeAttention;
  readonly wait: Pending;
  readonly into: Tensor | undefined;
}

/** The attention side of a mesh: claim a slot, fill its rows, dispatch, combine. */
export class AttentionSide {
  readonly #context: ExchangeContext;
  /** @internal */
  readonly native: NativeAttention;
  readonly #slots: SlotViews[];
  readonly #outputs: Tensor[];
  readonly #replies: SlotViews[][];
  /** Asynchronous combines under way, by generation. @internal */
  readonly pending: Map<number, PendingCombine> = new Map();

  /** @internal */
  constructor(context: ExchangeContext) {
    const { endpoint, layout, arena, heap } = context;
    this.#context = context;
    this.native = new native.Attention(endpoint, onCombined(this.pending));
    const at = endpoint.layout();
    const slots = Array.from({ length: layout.depth }, (_, slot) => slot);
    this.#slots = slots.map(
      (slot) => new SlotViews(arena, at.header, at.dispatch, slot, dispatchColumns(layout), layout.metaBytes),
    );
    // Every slot has an output of its own, so that results stay valid while later rounds are combined.
    this.#outputs =
      layout.combine === 'none'
        ? []
        : slots.map(() => heap.reserve('bf16', [layout.maxTokens, layout.hidden]));
    const replyColumn = [{ name: 'output', dtype: replyType(layout), width: layout.hidden }];
    // Looked at with combine 'none' only, which symmetric exchanges don't have.
    this.#replies = Array.from({ length: layout.symmetric ? 0 : context.ffn }, (_, peer) => {
      const inbound = endpoint.inbound(peer);
      return slots.map((slot) => new SlotViews(inbound, 0, at.reply, slot, replyColumn, 0));
    });
  }

  /** Rounds that can be in flight. */
  get depth(): number {
    return this.#context.layout.depth;
  }

  /**
   * Takes the next round's slot. Its arrays are the caller's until it is dispatched, and again when a later round
   * claims the slot.
   *
   * @throws WeftError WEFT_SLOT_BUSY when `depth` rounds are in flight: combine the oldest first (or, after it failed
   * or was abandoned, wait until every FFN rank has let go of it); WEFT_TOO_MANY_TOKENS; WEFT_CLOSED
   */
  claim(options: ClaimOptions): AttentionSlot {
    const { layout } = this.#context;
    if (typeof options !== 'object' || options === null)
      throw invalidArgument('options', options, '{ tokens }');
    const { tokens, tag = 0, meta, onPeerLoss = 'error' } = options;
    if (!Number.isSafeInteger(tokens) || tokens < 0)
      throw invalidArgument('tokens', tokens, 'an integer of at least 0');
    if (tokens > layout.maxTokens)
      throw new WeftError(
        'WEFT_TOO_MANY_TOKENS',
        `tokens must be at most ${layout.maxTokens} (layout.maxTokens), but ${tokens} was given; split the batch`,
        { phase: 'claim', details: { argument: 'tokens', given: tokens, allowed: layout.maxTokens } },
      );
    if (!Number.isInteger(tag) || tag < 0 || tag > 0xffffffff)
      throw invalidArgument('tag', tag, 'an integer of 32 bits, 0 to 4294967295');
    if (meta !== undefined && !(meta instanceof Uint8Array))
      throw invalidArgument('meta', meta, 'a Uint8Array');
    checkOnPeerLoss(onPeerLoss, layout);
    const metaBytes = meta?.byteLength ?? 0;
    if (metaBytes > layout.metaBytes)
      throw invalidArgument(
        'meta',
        `${metaBytes} bytes`,
        `at most ${layout.metaBytes} bytes (layout.metaBytes)`,
      );
    const generation = this.native.claim();
    if (generation < 0) throw this.#claimFailure(-generation as Code);
    const views = this.#slots[generation % layout.depth]!;
    if (meta !== undefined) views.meta.set(meta);
    return new AttentionSlot(this, this.#context, views, { generation, tokens, tag, metaBytes, onPeerLoss });
  }

  #claimFailure(code: Code): WeftError {
    if (code === Code.closed) return closedError('this mesh', 'claim');
    return new WeftError(
      'WEFT_SLOT_BUSY',
      `claim: all ${this.depth} slots are in flight (layout.depth); combine the oldest round first`,
      { phase: 'claim', details: { depth: this.depth } },
    );
  }

  /** Whether a combine under way writes to this tensor's memory. @internal */
  writesTo(tensor: Tensor): boolean {
    for (const { into } of this.pending.values()) if (into?.memory === tensor.memory) return true;
    return false;
  }

  /** Where a round's result goes. @internal */
  outputOf(generation: number): Tensor {
    return this.#outputs[generation % this.depth]!;
  }

  /** A slot's reply of one FFN rank. @internal */
  replyOf(generation: number, rank: number): SlotViews {
    return this.#replies[rank]![generation % this.depth]!;
  }

  /** A result of `tokens` rows over the memory of a tensor that may be larger. @internal */
  resultOf(full: Tensor, tokens: number): Tensor {
    const { hidden } = this.#context.layout;
    const { memory, dtype, shape, data } = full;
    if (shape.length === 2 && shape[0] === tokens && shape[1] === hidden) return full;
    return new Tensor(memory, dtype, [tokens, hidden], data.subarray(0, tokens * hidden));
  }

  /** @internal */
  missing(generation: number): PeerName[] {
    const role = replierRole(this.#context);
    return this.native.missing(generation).map((rank) => ({ role, rank }));
  }
}

/**
 * The native side holds this function for as long as it lives, so the function must not hold the native side, or neither
 * is ever collected: it is made here, where its scope has the waits under way and nothing else.
 */
function onCombined(pending: Map<number, PendingCombine>): Ended {
  return (generation, code, blamed) => {
    const ended = pending.get(generation);
    if (ended === undefined) return;
    pending.delete(generation);
    ended.native.done(generation, code);
    ended.wait.end(code, blamed);
  };
}
