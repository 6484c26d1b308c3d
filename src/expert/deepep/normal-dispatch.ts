import { invalidArgument, WeftError } from '../../errors.js';
import { dispatchLayout } from './dispatch-layout.js';
import { EventOverlap } from './event.js';
import type { Exchange } from './exchange.js';
import type { Exchanges, Shape } from './exchanges.js';
import { type FinishOptions, finish } from './finish.js';
import { checkFlag, checkInteger, checkShape, checkVector, type Fp8Pair, type NdArray } from './nd-array.js';
import { checkHandle, DispatchHandle } from './normal-handle.js';
import { checkedRows, type NormalRows } from './normal-rows.js';
import { OpenRound } from './open-round.js';
import { type Received, type ReceivedRows, receivedFrom } from './received.js';
import { type Routing, routingOf, type TopkIdx } from './routing.js';

export interface DispatchOptions extends Omit<FinishOptions, 'returnRecvHook'> {
  /** Of an earlier dispatch: its routing is used again. Then there are no other arguments about the routing. */
  handle?: DispatchHandle;
  /** As `getDispatchLayout()` says; checked against `topkIdx` when given. */
  numTokensPerRank?: Int32Array;
  /** There are none. */
  numTokensPerRdmaRank?: null;
  isTokenInRank?: NdArray<Uint8Array>;
  /** [experts] as `getDispatchLayout()` says. Required without `handle`: it says how many experts there are. */
  numTokensPerExpert?: Int32Array;
  /** [tokens, topK]. Required without `handle`. */
  topkIdx?: NdArray<TopkIdx>;
  /** [tokens, topK]; all ranks give them, or none. */
  topkWeights?: NdArray<Float32Array>;
  /** What the numbers of `numRecvTokensPerExpertList` are rounded up to a multiple of. Default 1. */
  expertAlignment?: number;
  /** More than 0: results are padded to so many rows, and `numRecvTokensPerExpertList` is empty. Default 0. */
  numWorstTokens?: number;
  /** Changes nothing here: how many rows there are is known when they have come. */
  asyncFinish?: boolean;
}

export interface Dispatched<Rows = NdArray<Uint16Array> | Fp8Pair> extends Received<Rows> {
  handle: DispatchHandle;
  event: EventOverlap;
}

export async function dispatch<X extends NormalRows>(
  exchanges: Exchanges,
  maxTokens: number,
  x: X,
  options: DispatchOptions,
): Promise<Dispatched<ReceivedRows<X>>> {
  exchanges.checkOpen();
  const { handle, expertAlignment = 1, numWorstTokens = 0, topkWeights, asyncFinish = false } = options;
  checkInteger('expertAlignment', expertAlignment, 1, 2 ** 20, 'dispatch');
  checkInteger('numWorstTokens', numWorstTokens, 0, 2 ** 31 - 1, 'dispatch');
  checkFlag('asyncFinish', asyncFinish, 'dispatch');
  const { routing, numExperts, isTokenInRank } =
    handle === undefined ? newRouting(exchanges, options) : oldRouting(exchanges, handle, options);
  const rows = checkedRows(x, routing.tokens, maxTokens);
  if (topkWeights !== undefined)
    checkShape('topkWeights', topkWeights, [routing.tokens, routing.topK], [Float32Array], 'dispatch');

  const shape: Shape = {
    hidden: rows.hidden,
    maxTokens,
    dispatch: { dtype: rows.scales === undefined ? 'bf16' : 'fp8e4m3' },
    experts: { count: numExperts, topK: routing.topK },
    combine: 'sum',
  };
  const exchange = await exchanges.of(shape, options.signal);
  const round = send(exchange, rows, routing, topkWeights?.data);
  let result: Dispatched<ReceivedRows<X>> | undefined;
  await finish(
    { deadlineMs: options.deadlineMs, signal: options.signal },
    async (wait) => {
      const batch = await round.receive(wait);
      const cached = handle !== undefined;
      const wanted = { cached, weights: topkWeights !== undefined, wide: routing.wide };
      const received = receivedFrom<X>(batch, exchange.mesh.layout, {
        ...wanted,
        expertAlignment,
        numWorstTokens,
      });
      const of = handle ?? new DispatchHandle(exchanges, routing, numExperts, isTokenInRank, batch);
      of.rounds.push({ round, hidden: rows.hidden, recvRows: numWorstTokens || batch.rows });
      result = { ...received, handle: of, event: new EventOverlap() };
    },
    (error) => exchange.break(error),
  );
  return result!;
}

function send(
  exchange: Exchange,
  rows: ReturnType<typeof checkedRows>,
  { experts, tokens }: Routing,
  weights: Float32Array | undefined,
): OpenRound {
  const slot = exchange.claim(tokens);
  try {
    slot.hidden.set(rows.data);
    if (rows.scales !== undefined) slot.scales.set(rows.scales);
    slot.experts.set(experts);
    if (weights !== undefined) slot.weights.set(weights);
    else slot.weights.fill(0, 0, experts.length);
    return new OpenRound(exchange, slot.dispatch());
  } catch (error) {
    slot.abandon();
    throw error;
  }
}

interface Way {
  routing: Routing;
  numExperts: number;
  isTokenInRank: NdArray<Uint8Array>;
}

function oldRouting(exchanges: Exchanges, handle: DispatchHandle, options: DispatchOptions): Way {
  checkHandle(handle, exchanges, 'dispatch');
  for (const name of ['topkIdx', 'topkWeights'] as const)
    if (options[name] !== undefined)
      throw invalidArgument(name, 'an array', 'absent where a handle is given, which has the routing', {
        phase: 'dispatch',
      });
  return handle;
}

function newRouting({ ranks }: Exchanges, options: DispatchOptions): Way {
  const phase = 'dispatch';
  const { topkIdx, numTokensPerExpert, numTokensPerRank, isTokenInRank } = options;
  if (topkIdx === undefined || numTokensPerExpert === undefined)
    throw invalidArgument(
      topkIdx === undefined ? 'topkIdx' : 'numTokensPerExpert',
      undefined,
      'given where there is no handle, as getDispatchLayout() takes and returns them',
      { phase },
    );
  if (!(numTokensPerExpert instanceof Int32Array))
    throw new WeftError('WEFT_DTYPE', 'numTokensPerExpert must be an Int32Array', {
      phase,
      details: { argument: 'numTokensPerExpert', allowed: 'Int32Array' },
    });
  const numExperts = numTokensPerExpert.length;
  checkInteger('numTokensPerExpert.length', numExperts, 1, 2 ** 20, phase);
  const routing = routingOf(topkIdx, numExperts, ranks);
  const layout = dispatchLayout(topkIdx, numExperts, ranks);
  checkEqual('numTokensPerExpert', numTokensPerExpert, layout.numTokensPerExpert);
  if (numTokensPerRank !== undefined) {
    checkVector('numTokensPerRank', numTokensPerRank, ranks, Int32Array, phase);
    checkEqual('numTokensPerRank', numTokensPerRank, layout.numTokensPerRank);
  }
  if (isTokenInRank !== undefined) {
    checkShape('isTokenInRank', isTokenInRank, [routing.tokens, ranks], [Uint8Array], phase);
    checkEqual('isTokenInRank', isTokenInRank.data, layout.isTokenInRank.data);
  }
  return { routing, numExperts, isTokenInRank: layout.isTokenInRank };
}

function checkEqual(name: string, given: Int32Array | Uint8Array, wanted: Int32Array | Uint8Array): void {
  const at = given.findIndex((value, i) => value !== wanted[i]);
  if (at >= 0)
    throw invalidArgument(
      `${name}[${at}]`,
      given[at],
      `${wanted[at]}, as getDispatchLayout() says of topkIdx`,
      {
        phase: 'dispatch',
      },
    );
}
