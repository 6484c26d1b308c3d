import { describe, expect, it } from 'vitest';
import { deepep, isWeftError, startCoordinator, type WeftCode } from '../../../../src/index.js';
import { all, tokensOf, useRanks } from './ranks.js';

const { open } = useRanks();
const shape = { tokens: 2, hidden: 256, experts: 4, topK: 2 };
const { x, topkIdx, topkWeights } = tokensOf(1, 0, shape);

async function refused(call: Promise<unknown> | (() => unknown), code: WeftCode, argument?: string) {
  const error: unknown = await (async () => (typeof call === 'function' ? call() : call))().then(
    () => expect.fail(`resolved, where ${code} was expected`),
    (reason: unknown) => reason,
  );
  if (!isWeftError(error)) throw error;
  expect(error.code, error.message).toBe(code);
  if (argument !== undefined) expect(error.details?.argument).toBe(argument);
  return error;
}

describe('arguments', () => {
  const bad = 'WEFT_INVALID_ARGUMENT';

  it('of create', async () => {
    const group = { coordinator: 'ws://127.0.0.1:1', token: 'x', rank: 0, size: 2 };
    await refused(deepep.Buffer.create({ ...group, rank: 2 }), bad, 'group.rank');
    await refused(deepep.Buffer.create({ ...group, size: 0 }), bad, 'group.size');
    await refused(deepep.Buffer.create({ ...group, channel: 'x'.repeat(49) }), bad, 'group.channel');
    await refused(deepep.Buffer.create(group, { numNvlByte: 1 } as never), bad, 'options.numNvlByte');
    await deepep.Buffer.create(group, { numNvlBytes: 0, numRdmaBytes: 1e9, lowLatencyMode: true });
  });

  it('of low-latency dispatch, before anything is sent', async () => {
    const [buffer] = await open(2);
    const call = (options: object, rows = x, ids: deepep.NdArray<deepep.TopkIdx> = topkIdx, e = 4, t = 2) =>
      buffer!.lowLatencyDispatch(rows, ids, t, e, options);
    await refused(call({}, x, topkIdx, 4, 1), 'WEFT_TOO_MANY_TOKENS', 'x');
    await refused(call({}, x, topkIdx, 5), bad, 'numExperts');
    await refused(call({ useUe8m0: true }), bad, 'roundScale');
    await refused(call({ useUe8m0: true, roundScale: true }), bad, 'hidden of x');
    const odd = tokensOf(1, 0, { ...shape, hidden: 100 }).x;
    await refused(call({}, odd), bad, 'hidden of x');
    await refused(call({ asyncFinish: true, returnRecvHook: true }), bad, 'returnRecvHook');
    await refused(call({ useFp8: 1 }), bad, 'useFp8');
    await refused(call({}, { data: x.data, shape: [3, 256] }), bad, 'x.data');
    await refused(call({}, { data: x.data, shape: [512] }), bad, 'x.shape');
    await refused(call({}, { ...x, strides: [1, 2] } as never), bad, 'x.strides');
    await refused(
      call({}, { data: new Float32Array(512), shape: [2, 256] } as never),
      'WEFT_DTYPE',
      'x.data',
    );
    await refused(call({}, x, { data: topkIdx.data, shape: [1, 4] }), bad, 'x.shape');
    await refused(
      call({}, x, { data: BigInt64Array.of(0n, 4n, 1n, 2n), shape: [2, 2] }),
      bad,
      'topkIdx[0, 1]',
    );
    const stats = { cumulativeLocalExpertRecvStats: new Int32Array(4) };
    await refused(call(stats), bad, 'cumulativeLocalExpertRecvStats');
    const costs = { dispatchWaitRecvCostStats: new Int32Array(2) };
    await refused(call(costs), 'WEFT_DTYPE', 'dispatchWaitRecvCostStats');
  });

  it('of low-latency combine; a handle serves one', async () => {
    const buffers = await open(2);
    const dispatched = await all(buffers, (buffer) =>
      buffer.lowLatencyDispatch(x, topkIdx, 2, 4, { useFp8: false, returnRecvHook: true }),
    );
    const [buffer, other] = buffers as [deepep.Buffer, deepep.Buffer];
    const [{ handle, recvX: y }] = dispatched as [deepep.LowLatencyDispatched<deepep.NdArray<Uint16Array>>];
    const call = (
      options: object,
      rows = y,
      ids: deepep.NdArray<deepep.TopkIdx> = topkIdx,
      w = topkWeights,
    ) => buffer.lowLatencyCombine(rows, ids, w, handle, options);
    const early = await refused(call({}), 'WEFT_STATE');
    expect(early.message).toContain('await the hook');
    await refused(() => buffer.getNextLowLatencyCombineBuffer(handle), 'WEFT_STATE');
    await all(buffers, (_, rank) => dispatched[rank]!.hook!());

    await refused(call({ useLogfmt: true }), 'WEFT_UNAVAILABLE', 'useLogfmt');
    await refused(call({ asyncFinish: true, returnRecvHook: true }), bad, 'returnRecvHook');
    await refused(call({}, x), bad, 'x.shape');
    const swapped = { data: topkIdx.data.map((id) => 3n - id), shape: topkIdx.shape };
    await refused(call({}, y, swapped), bad, 'topkIdx');
    const short = { data: new Float32Array(2), shape: [2, 1] };
    await refused(call({}, y, topkIdx, short), bad, 'topkWeights.shape');
    await refused(call({ out: { data: new Uint16Array(256), shape: [1, 256] } }), bad, 'out.shape');
    await refused(other.lowLatencyCombine(y, topkIdx, topkWeights, handle), bad, 'handle');

    await refused(call({ deadlineMs: 50 }), 'WEFT_DEADLINE'); // the other has not replied
    const [again] = await Promise.all([
      call({}),
      other.lowLatencyCombine(dispatched[1]!.recvX, topkIdx, topkWeights, dispatched[1]!.handle),
    ]);
    expect(again.combinedX.shape).toEqual([2, 256]);
    const twice = await refused(call({}), 'WEFT_STATE');
    expect(twice.message).toContain('combined already');
  });

  it('of normal dispatch and combine', async () => {
    const buffers = await open(2, {}, { numMaxTokensPerRank: 2 });
    const [buffer, other] = buffers as [deepep.Buffer, deepep.Buffer];
    const { event: _, ...layout } = buffer.getDispatchLayout(topkIdx, 4);
    const given = { ...layout, topkIdx };
    const without = (name: string) => ({ ...given, [name]: undefined });
    await refused(buffer.dispatch(x, without('topkIdx')), bad, 'topkIdx');
    await refused(buffer.dispatch(x, without('numTokensPerExpert')), bad, 'numTokensPerExpert');
    const wrong = { numTokensPerRank: Int32Array.of(0, 9) };
    await refused(buffer.dispatch(x, { ...given, ...wrong }), bad, 'numTokensPerRank[0]');
    await refused(buffer.dispatch(x, { ...given, expertAlignment: 0 }), bad, 'expertAlignment');
    const many = tokensOf(1, 0, { ...shape, tokens: 3 });
    const { numTokensPerExpert } = buffer.getDispatchLayout(many.topkIdx, 4);
    const tooMany = { topkIdx: many.topkIdx, numTokensPerExpert };
    await refused(buffer.dispatch(many.x, tooMany), 'WEFT_TOO_MANY_TOKENS', 'x');
    const fp8 = [
      { data: new Uint8Array(512), shape: [2, 256] },
      { data: new Float32Array(2), shape: [2, 1] },
    ];
    await refused(buffer.dispatch(fp8 as never, given), bad, 'x[1].shape');

    const [{ handle, recvX }, theirs] = await Promise.all([
      buffer.dispatch(x, given),
      other.dispatch(x, given),
    ]);
    await refused(buffer.dispatch(x, { handle, topkIdx }), bad, 'topkIdx');
    await refused(buffer.combine(many.x, handle), bad, 'x.shape');
    await refused(buffer.combine(recvX, theirs.handle), bad, 'handle');
    await refused(buffer.combine(recvX, handle, { bias: many.x }), bad, 'bias.shape');
    await refused(buffer.combine(recvX, handle, { bias: [x] as never }), bad, 'bias');
    const sums = await Promise.all([
      buffer.combine(recvX, handle),
      other.combine(theirs.recvX, theirs.handle),
    ]);
    expect(sums[0].combinedX.shape).toEqual([2, 256]);
  });
});

describe('ranks that disagree', () => {
  it.each([
    [
      'numMaxDispatchTokensPerRank',
      ['maxTokens'],
      (b: deepep.Buffer) => b.lowLatencyDispatch(x, topkIdx, 3, 4),
    ],
    ['numExperts', ['experts.count'], (b: deepep.Buffer) => b.lowLatencyDispatch(x, topkIdx, 2, 6)],
    ['useFp8', ['dtype'], (b: deepep.Buffer) => b.lowLatencyDispatch(x, topkIdx, 2, 4, { useFp8: false })],
    [
      'roundScale',
      ['powerOfTwoScales'],
      (b: deepep.Buffer) => b.lowLatencyDispatch(x, topkIdx, 2, 4, { roundScale: true }),
    ],
    [
      'the kind',
      ['maxTokens', 'dtype', 'experts.packing', 'combine'],
      (b: deepep.Buffer) => b.dispatch(x, { ...b.getDispatchLayout(topkIdx, 4), topkIdx } as never),
    ],
  ] as const)(
    'on %s are told the fields, the one who is refused and the one who waits',
    async (_, fields, differs) => {
      const buffers = await open(2, { deadlineMs: 400 });
      const outcomes = await Promise.allSettled([
        buffers[0]!.lowLatencyDispatch(x, topkIdx, 2, 4),
        differs(buffers[1]!),
      ]);
      const errors = outcomes.map((outcome) => outcome.status === 'rejected' && outcome.reason);
      expect(errors.map((error) => error.code).sort()).toEqual(['WEFT_CONFIG_MISMATCH', 'WEFT_DEADLINE']);
      const { details } = errors.find(({ code }) => code === 'WEFT_CONFIG_MISMATCH');
      expect(details.fields.map(({ field }: { field: string }) => field).sort()).toEqual([...fields].sort());
      const late = errors.find(({ code }) => code === 'WEFT_DEADLINE');
      for (const field of fields) expect(late.message).toContain(`${field} (the mesh has`);
      // Both have failed, and may go on with what they agree on.
      await all(buffers, (buffer) => buffer.lowLatencyDispatch(x, topkIdx, 2, 4));
    },
  );
});

describe('the end', () => {
  it('destroy() ends waits and further calls, of a rank and of its peers', async () => {
    const buffers = await open(2);
    const [buffer, other] = buffers as [deepep.Buffer, deepep.Buffer];
    const opened = await all(buffers, (each) => each.lowLatencyDispatch(x, topkIdx, 2, 4));
    const waiting = refused(buffer.lowLatencyDispatch(x, topkIdx, 2, 4), 'WEFT_CLOSED');
    const opening = refused(buffer.lowLatencyDispatch(x, topkIdx, 7, 4), 'WEFT_CLOSED');
    await new Promise((resolve) => setTimeout(resolve, 100));
    await buffer.destroy();
    await buffer.destroy();
    await Promise.all([waiting, opening]);
    await refused(buffer.lowLatencyDispatch(x, topkIdx, 2, 4), 'WEFT_CLOSED');
    await refused(buffer.dispatch(x), 'WEFT_CLOSED');
    await refused(() => buffer.getNextLowLatencyCombineBuffer(opened[0]!.handle), 'WEFT_CLOSED');
    const y = { data: new Uint16Array(2 * 4 * 256), shape: [2, 4, 256] };
    await refused(buffer.lowLatencyCombine(y, topkIdx, topkWeights, opened[0]!.handle), 'WEFT_CLOSED');
    const left = other.lowLatencyCombine(y, topkIdx, topkWeights, opened[1]!.handle);
    await refused(left, 'WEFT_PEER_CLOSED');
  });

  it('a wait ends by its deadline or its signal; a hook and an event can be waited for again', async () => {
    const buffers = await open(2);
    const [buffer, other] = buffers as [deepep.Buffer, deepep.Buffer];
    const call = (each: deepep.Buffer, options: object) =>
      each.lowLatencyDispatch(x, topkIdx, 2, 4, { useFp8: false, ...options });
    await all(buffers, (each) => call(each, {}));
    const hooked = await call(buffer, { returnRecvHook: true, deadlineMs: 30 });
    await refused(hooked.hook!(), 'WEFT_DEADLINE');
    const begun = await call(buffer, { asyncFinish: true, deadlineMs: 30 });
    await refused(begun.event.wait(), 'WEFT_DEADLINE');
    await refused(hooked.hook!({ signal: AbortSignal.timeout(20), deadlineMs: 5000 }), 'WEFT_ABORTED');
    await call(other, { returnRecvHook: true });
    await call(other, { returnRecvHook: true });
    await begun.event.currentStreamWait({ deadlineMs: 5000 });
    await hooked.hook!({ deadlineMs: 0 });
    await refused(call(buffer, { deadlineMs: 30 }), 'WEFT_DEADLINE');
    const out = await refused(call(buffer, {}), 'WEFT_STATE');
    expect(out.message).toContain('out of step');
  });
});

it('two buffers share a coordinator by their channels', async () => {
  await using coordinator = await startCoordinator({ ep: 2 });
  const at = { coordinator: coordinator.url, token: coordinator.token };
  const pairs = [await open(2, { ...at, channel: 'a' }), await open(2, { ...at, channel: 'b' })];
  for (const buffers of pairs) {
    const given = await all(buffers, (buffer) => buffer.lowLatencyDispatch(x, topkIdx, 2, 4));
    expect(given.map(({ handle }) => handle.generation)).toEqual([1, 1]);
    await all(buffers, (buffer) => buffer.destroy());
  }
  // Its name is used up.
  const [again] = await open(2, { ...at, channel: 'a' });
  await refused(again!.lowLatencyDispatch(x, topkIdx, 2, 4), 'WEFT_STATE');
});
