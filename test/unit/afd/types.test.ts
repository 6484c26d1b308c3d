/** What the compiler must know of the API: checked by tsc, not when it runs. */
import type {
  AttentionRound,
  AttentionSlot,
  Coordinator,
  ExchangeLayout,
  FfnBatch,
  FfnPart,
  JoinOptions,
  Mesh,
  PeerExplanation,
  RankReply,
  Selections,
  Tensor,
  TypedArray,
  WeftCode,
  WeftError,
} from 'tensorweft';
import { dequantize, isWeftError, type joinMesh, quantize, type startCoordinator } from 'tensorweft';
import { expectTypeOf, it } from 'vitest';

it('joining', () => {
  expectTypeOf<{ attention: number; ffn: number }>().toExtend<Parameters<typeof startCoordinator>[0]>();
  expectTypeOf<{ ep: number }>().toExtend<Parameters<typeof startCoordinator>[0]>();
  expectTypeOf<typeof startCoordinator>().returns.resolves.toEqualTypeOf<Coordinator>();
  expectTypeOf<typeof joinMesh>().parameters.toEqualTypeOf<[JoinOptions]>();
  expectTypeOf<typeof joinMesh>().returns.resolves.toEqualTypeOf<Mesh>();
  expectTypeOf<Mesh>().toExtend<AsyncDisposable>();
  expectTypeOf<Mesh['explain']>().returns.toEqualTypeOf<PeerExplanation[]>();
  expectTypeOf<JoinOptions['role']>().toEqualTypeOf<'attention' | 'ffn' | 'ep'>();
  // @ts-expect-error a rank need not be asked for
  expectTypeOf<JoinOptions>().toExtend<{ rank: number }>();
  expectTypeOf<{ hidden: number }>().not.toExtend<ExchangeLayout>();
  expectTypeOf<{ hidden: number; maxTokens: number }>().toExtend<ExchangeLayout>();
  expectTypeOf<{ hidden: number; maxTokens: number; combine: 'avg' }>().not.toExtend<ExchangeLayout>();
});

it('the attention side', () => {
  expectTypeOf<Mesh['attention']['claim']>().returns.toEqualTypeOf<AttentionSlot>();
  expectTypeOf<AttentionSlot['experts']>().toEqualTypeOf<Int32Array>();
  expectTypeOf<AttentionSlot['weights']>().toEqualTypeOf<Float32Array>();
  expectTypeOf<AttentionSlot['hidden']>().toEqualTypeOf<TypedArray>();
  expectTypeOf<AttentionSlot['dispatch']>().returns.toEqualTypeOf<AttentionRound>();
  expectTypeOf<AttentionSlot['begin']>().returns.toEqualTypeOf<AttentionRound>();
  expectTypeOf<AttentionRound['combine']>().returns.resolves.toEqualTypeOf<Tensor>();
  expectTypeOf<AttentionRound['combineSync']>().returns.toEqualTypeOf<Tensor>();
  expectTypeOf<AttentionRound['replies']>().returns.resolves.toEqualTypeOf<RankReply[]>();
  expectTypeOf<AttentionSlot>().not.toHaveProperty('native');
});

it('the FFN side', () => {
  type Batches = ReturnType<Mesh['ffn']['batches']>;
  expectTypeOf<Batches>().toExtend<AsyncIterable<FfnBatch>>();
  expectTypeOf<Mesh['ffn']['next']>().returns.resolves.toEqualTypeOf<FfnBatch | undefined>();
  expectTypeOf<Mesh['ffn']['nextSync']>().returns.toEqualTypeOf<FfnBatch | undefined>();
  expectTypeOf<FfnBatch['parts']>().toEqualTypeOf<readonly FfnPart[]>();
  expectTypeOf<FfnPart['selections']>().toEqualTypeOf<Selections>();
  expectTypeOf<FfnPart['tokenOf']>().toEqualTypeOf<Uint32Array>();
});

it('errors and numbers', () => {
  const thrown = undefined as unknown;
  if (isWeftError(thrown, 'WEFT_PEER_LOST')) {
    expectTypeOf(thrown).toEqualTypeOf<WeftError>();
    expectTypeOf(thrown.code).toEqualTypeOf<WeftCode>();
    expectTypeOf(thrown.peer?.role).toEqualTypeOf<'attention' | 'ffn' | 'ep' | undefined>();
  }
  const rows = quantize(new Float32Array(4), 4);
  expectTypeOf(dequantize(rows, 4)).toEqualTypeOf<Uint16Array>();
  expectTypeOf(dequantize(rows, 4, new Float32Array(4))).toExtend<Float32Array>();
  expectTypeOf(quantize).parameter(0).not.toExtend<number[]>();
  expectTypeOf<number[]>().not.toExtend<Parameters<typeof quantize>[0]>();
});
