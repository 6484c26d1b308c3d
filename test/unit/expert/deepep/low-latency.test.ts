import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { LowLatencyHandle } from '../../../../src/expert/deepep/low-latency-handle.js';
import type { TransportName } from '../../../../src/index.js';
import { checkDispatched, combinedOf, outputsOf, type Round } from './oracle.js';
import { all, tokensOf, useRanks } from './ranks.js';

const { open } = useRanks();

/** Tokens are ragged: 0 on some ranks. */
function roundOf(
  seed: number,
  ranks: number,
  shape: Omit<Round, 'sent'>,
  counts: readonly number[] = [shape.maxTokens, 0, 5, 1],
): Round {
  const sent = Array.from({ length: ranks }, (_, rank) =>
    tokensOf(seed, rank, { ...shape, tokens: counts[(rank + seed) % counts.length]! }),
  );
  return { ...shape, sent };
}

const transports: TransportName[] = ['loopback', 'shm', 'tcp'];
const rowTypes = [
  { useFp8: false },
  { useFp8: true },
  { useFp8: true, roundScale: true },
  { useFp8: true, roundScale: true, useUe8m0: true },
] as const;

describe.each(transports)('low latency over %s', (transport) => {
  it.each([2, 3, 4])('%i ranks: rows, counts, layout and results, bit by bit', async (ranks) => {
    const buffers = await open(ranks, { transports: [transport] });
    const shape = { hidden: 512, experts: 2 * ranks * (ranks === 3 ? 1 : 2), topK: 3, maxTokens: 8 };
    const loads = buffers.map(() => new Int32Array(shape.experts / ranks));
    const wanted = loads.map((load) => load.slice());
    let seed = 0;
    for (const rowType of rowTypes)
      for (const hooked of [false, true]) {
        const round = roundOf(++seed, ranks, shape);
        await all(buffers, async (buffer, rank) => {
          const { x, topkIdx, topkWeights } = round.sent[rank]!;
          const given = await buffer.lowLatencyDispatch(x, topkIdx, 8, shape.experts, {
            ...rowType,
            returnRecvHook: hooked,
            cumulativeLocalExpertRecvStats: loads[rank]!,
          });
          expect(given.hook === null).toBe(!hooked);
          await given.hook?.();
          await given.hook?.(); // without effect
          await given.event.currentStreamWait();
          checkDispatched(round, rank, given, 'roundScale' in rowType);
          given.recvCount.forEach((count, e) => {
            wanted[rank]![e]! += count;
          });
          expect(loads[rank]).toEqual(wanted[rank]);

          const y = outputsOf(round, rank);
          const combined = await buffer.lowLatencyCombine(y, topkIdx, topkWeights, given.handle, {
            returnRecvHook: hooked,
          });
          await combined.hook?.();
          expect(combined.combinedX.shape).toEqual([x.shape[0], 512]);
          expect(combined.combinedX.data).toEqual(combinedOf(round, rank));
        });
      }
  });

  it('says which rank was waited for', async () => {
    const buffers = await open(3, { transports: [transport] });
    const round = roundOf(1, 3, { hidden: 128, experts: 3, topK: 2, maxTokens: 4 }, [4, 0, 3]);
    const costs = [new BigInt64Array(3), new BigInt64Array(3)] as const;
    const dispatch = async (rank: number) => {
      const { x, topkIdx } = round.sent[rank]!;
      const stats = rank === 0 ? { dispatchWaitRecvCostStats: costs[0] } : {};
      return buffers[rank]!.lowLatencyDispatch(x, topkIdx, 4, 3, { returnRecvHook: true, ...stats });
    };
    const combine = async (rank: number, handle: LowLatencyHandle) => {
      const { topkIdx, topkWeights } = round.sent[rank]!;
      const stats = rank === 0 ? { combineWaitRecvCostStats: costs[1] } : {};
      const y = outputsOf(round, rank);
      const options = { returnRecvHook: true, ...stats };
      return (await buffers[rank]!.lowLatencyCombine(y, topkIdx, topkWeights, handle, options)).hook!;
    };
    // A round in which all connect.
    await all(buffers, async (_, rank) => {
      const { handle, hook } = await dispatch(rank);
      await hook!();
      await (await combine(rank, handle))();
    });
    for (const stats of costs) stats.fill(0n);

    const early = [await dispatch(0), await dispatch(2)];
    const receiving = early[0]!.hook!();
    await sleep(30);
    const late = await dispatch(1);
    await Promise.all([receiving, early[1]!.hook!(), late.hook!()]);
    expect(costs[0][0]).toBe(0n);
    expect(costs[0][1]).toBeGreaterThan(20_000_000n);

    const hooks = [await combine(0, early[0]!.handle), await combine(1, late.handle)];
    const combining = hooks[0]!();
    await sleep(30);
    hooks.push(await combine(2, early[1]!.handle));
    await Promise.all([combining, hooks[1]!(), hooks[2]!()]);
    expect(costs[1][0]).toBe(0n);
    expect(costs[1][2]).toBeGreaterThan(20_000_000n);
  });

  it('a rank alone', async () => {
    const [buffer] = await open(1, { transports: [transport] });
    const round = roundOf(3, 1, { hidden: 128, experts: 3, topK: 2, maxTokens: 4 }, [3]);
    const { x, topkIdx, topkWeights } = round.sent[0]!;
    const given = await buffer!.lowLatencyDispatch(x, topkIdx, 4, 3);
    checkDispatched(round, 0, given);
    const y = outputsOf(round, 0);
    const { combinedX } = await buffer!.lowLatencyCombine(y, topkIdx, topkWeights, given.handle);
    expect(combinedX.data).toEqual(combinedOf(round, 0));
  });
});

describe('low latency', () => {
  const shape = { hidden: 128, experts: 4, topK: 3, maxTokens: 6 };

  it('copying, zero-copy, out, asyncFinish: the same bits', async () => {
    const buffers = await open(2);
    for (let seed = 1; seed < 8; seed++) {
      const round = roundOf(seed, 2, shape);
      const how = seed % 3;
      await all(buffers, async (buffer, rank) => {
        const { x, topkIdx, topkWeights } = round.sent[rank]!;
        const given = await buffer.lowLatencyDispatch(x, topkIdx, 6, 4, { asyncFinish: how === 0 });
        await given.event.wait();
        checkDispatched(round, rank, given);
        const own = buffer.getNextLowLatencyCombineBuffer(given.handle);
        expect(own.shape).toEqual([2, 12, 128]);
        const zeroCopy = how === 1;
        const y = outputsOf(round, rank, zeroCopy ? own : undefined);
        const out = { data: new Uint16Array(x.data.length).fill(7), shape: x.shape };
        const combined = await buffer.lowLatencyCombine(y, topkIdx, topkWeights, given.handle, {
          zeroCopy,
          asyncFinish: how === 0,
          ...(how === 2 && { out }),
        });
        await combined.event.currentStreamWait();
        expect(combined.combinedX.data).toEqual(combinedOf(round, rank));
        if (how === 2) expect(combined.combinedX).toBe(out);
      });
    }
  });

  it('dispatches before their combines, hooks in any order, combines in any order', async () => {
    const buffers = await open(3);
    const wide = { ...shape, experts: 6 };
    for (let seed = 10; seed < 22; seed += 4) {
      const rounds = [0, 1, 2, 3].map((i) => roundOf(seed + i, 3, wide));
      await all(buffers, async (buffer, rank) => {
        const given = [];
        for (const { sent } of rounds) {
          const { x, topkIdx } = sent[rank]!;
          given.push(await buffer.lowLatencyDispatch(x, topkIdx, 6, 6, { returnRecvHook: true }));
        }
        // A fifth has no slot.
        const { x, topkIdx } = rounds[0]!.sent[rank]!;
        await expect(buffer.lowLatencyDispatch(x, topkIdx, 6, 6)).rejects.toMatchObject({
          code: 'WEFT_SLOT_BUSY',
        });
        await given[2]!.hook!();
        await Promise.all([given[3]!.hook!(), given[0]!.hook!(), given[1]!.hook!()]);
        for (const [i, round] of rounds.entries()) checkDispatched(round, rank, given[i]!);
        const combining = [];
        for (const i of [1, 3, 0, 2]) {
          const { topkIdx, topkWeights } = rounds[i]!.sent[rank]!;
          const y = outputsOf(rounds[i]!, rank);
          const options = { returnRecvHook: true };
          const call = buffer.lowLatencyCombine(y, topkIdx, topkWeights, given[i]!.handle, options);
          combining.push({ i, ...(await call) });
        }
        for (const { i, hook, combinedX } of combining.reverse()) {
          await hook!();
          expect(combinedX.data).toEqual(combinedOf(rounds[i]!, rank));
        }
      });
    }
  });

  it('places without a row are not written', async () => {
    const buffers = await open(2);
    for (let seed = 1; seed <= 9; seed++) {
      const round = roundOf(seed, 2, shape);
      await all(buffers, async (buffer, rank) => {
        const { x, topkIdx, topkWeights } = round.sent[rank]!;
        const given = await buffer.lowLatencyDispatch(x, topkIdx, 6, 4);
        const [codes, scales] = given.recvX;
        if (seed > 4)
          for (let e = 0; e < 2; e++)
            for (let i = given.recvCount[e]!; i < 12; i++) {
              expect(codes.data[(e * 12 + i) * 128 + 127]).toBe(0xab);
              expect(codes.data[(e * 12 + i) * 128]).toBe(0xab);
              expect(scales.data[e * 12 + i]).toBe(-3);
            }
        codes.data.fill(0xab);
        scales.data.fill(-3);
        const y = outputsOf(round, rank);
        await buffer.lowLatencyCombine(y, topkIdx, topkWeights, given.handle);
      });
    }
  });

  it('everything to one expert, and nothing at all', async () => {
    const buffers = await open(2);
    for (const id of [3n, -1n, 0n]) {
      const round = roundOf(1, 2, { ...shape, topK: 1 }, [6]);
      for (const { topkIdx } of round.sent) topkIdx.data.fill(id);
      await all(buffers, async (buffer, rank) => {
        const { x, topkIdx, topkWeights } = round.sent[rank]!;
        const given = await buffer.lowLatencyDispatch(x, topkIdx, 6, 4, { useFp8: false });
        checkDispatched(round, rank, given);
        const y = outputsOf(round, rank);
        const { combinedX } = await buffer.lowLatencyCombine(y, topkIdx, topkWeights, given.handle);
        expect(combinedX.data).toEqual(combinedOf(round, rank));
      });
    }
  });

  it('ids of 32 bits are the same as of 64', async () => {
    const buffers = await open(2);
    const round = roundOf(4, 2, shape);
    await all(buffers, async (buffer, rank) => {
      const { x, topkIdx, topkWeights } = round.sent[rank]!;
      const narrow = { data: Int32Array.from(topkIdx.data, Number), shape: topkIdx.shape };
      const given = await buffer.lowLatencyDispatch(x, narrow, 6, 4);
      checkDispatched(round, rank, given);
      const y = outputsOf(round, rank);
      const { combinedX } = await buffer.lowLatencyCombine(y, topkIdx, topkWeights, given.handle);
      expect(combinedX.data).toEqual(combinedOf(round, rank));
    });
  });
});
