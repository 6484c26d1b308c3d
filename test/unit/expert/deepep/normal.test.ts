import { describe, expect, it } from 'vitest';
import { type deepep, quantize, type TransportName } from '../../../../src/index.js';
import { bf16OfAll, combineRows } from '../../../../src/testing/numerics.js';
import { all, bf16At, type Tokens, tokensOf, useRanks } from './ranks.js';

const { open } = useRanks();

interface Round {
  hidden: number;
  experts: number;
  topK: number;
  sent: readonly Tokens[];
}

function roundOf(seed: number, ranks: number, counts = [9, 0, 5, 1]): Round {
  const shape = { hidden: 128, experts: 2 * ranks, topK: 3 };
  const sent = Array.from({ length: ranks }, (_, rank) =>
    tokensOf(seed, rank, { ...shape, tokens: counts[(rank + seed) % counts.length]! }),
  );
  return { ...shape, sent };
}

/** Ids of a token, counted from the first expert of `rank`; -1 for those of others. */
function localIds({ sent, experts, topK }: Round, source: number, token: number, rank: number): number[] {
  const local = experts / sent.length;
  return Array.from(sent[source]!.topkIdx.data.subarray(token * topK, (token + 1) * topK), (id) =>
    id >= 0n && Math.floor(Number(id) / local) === rank ? Number(id) - rank * local : -1,
  );
}

/** What `rank` is sent, by source and token. */
function rowsFor(round: Round, rank: number): { source: number; token: number; ids: number[] }[] {
  return round.sent.flatMap(({ x }, source) =>
    Array.from({ length: x.shape[0]! }, (_, token) => ({
      source,
      token,
      ids: localIds(round, source, token, rank),
    })).filter(({ ids }) => ids.some((id) => id >= 0)),
  );
}

/** What a rank makes of a row, having summed over its experts. */
const partialAt = (rank: number, source: number, token: number, c: number): number =>
  bf16At(6, rank, source, token, c);

/** The partial sums of a rank, a row for each that it received; further rows hold NaN. */
function partialsOf(round: Round, rank: number, rows: number): deepep.NdArray<Uint16Array> {
  const data = new Uint16Array(rows * round.hidden).fill(0x7fc1);
  rowsFor(round, rank).forEach(({ source, token }, i) => {
    for (let c = 0; c < round.hidden; c++) data[i * round.hidden + c] = partialAt(rank, source, token, c);
  });
  return { data, shape: [rows, round.hidden] };
}

/** The biases, then the partial sums in the order of the ranks, all in fp32. */
function combinedOf(
  round: Round,
  rank: number,
  biases: readonly deepep.NdArray<Uint16Array>[] = [],
): Uint16Array {
  const { hidden, sent } = round;
  const out = new Uint16Array(sent[rank]!.x.shape[0]! * hidden);
  for (let token = 0; token < sent[rank]!.x.shape[0]!; token++) {
    const from = Array.from(sent.keys()).filter((r) => localIds(round, rank, token, r).some((id) => id >= 0));
    const rows = [
      ...biases.map(({ data }) => data.subarray(token * hidden, (token + 1) * hidden)),
      ...from.map((r) => Uint16Array.from({ length: hidden }, (_, c) => partialAt(r, rank, token, c))),
    ];
    out.set(
      bf16OfAll(
        combineRows(
          rows.map((row) => ({ row })),
          hidden,
        ),
      ),
      token * hidden,
    );
  }
  return out;
}

/** What `getDispatchLayout()` says, as arguments of `dispatch()`. */
function routed(buffer: deepep.Buffer, { experts }: Round, { topkIdx }: Tokens) {
  const { event: _, ...layout } = buffer.getDispatchLayout(topkIdx, experts);
  return { ...layout, topkIdx };
}

const transports: TransportName[] = ['loopback', 'shm', 'tcp'];

describe.each(transports)('normal mode over %s', (transport) => {
  it.each([2, 3, 4])('%i ranks: rows, ids, weights, lists and sums, bit by bit', async (ranks) => {
    const buffers = await open(ranks, { transports: [transport] }, { numMaxTokensPerRank: 16 });
    for (let seed = 1; seed < 9; seed++) {
      const round = roundOf(seed, ranks);
      const fp8 = seed % 2 === 0;
      const numWorstTokens = seed % 3 === 0 ? 16 * ranks : 0;
      const expertAlignment = seed % 4 === 0 ? 8 : 1;
      await all(buffers, async (buffer, rank) => {
        const own = round.sent[rank]!;
        const rows = rowsFor(round, rank);
        const length = numWorstTokens || rows.length;
        const pair = quantize(own.x.data, 128);
        const x = fp8
          ? ([
              { data: pair.hidden, shape: own.x.shape },
              { data: pair.scales, shape: [own.x.shape[0]!, 1] },
            ] as const)
          : own.x;
        const given = await buffer.dispatch(x, {
          ...routed(buffer, round, own),
          topkWeights: own.topkWeights,
          numWorstTokens,
          expertAlignment,
        });
        const { recvX, recvTopkIdx, recvTopkWeights, handle } = given;
        expect(handle.numRecvTokens).toBe(rows.length);
        expect(Array.from(handle.recvSrcIdx)).toEqual(rows.map(({ token }) => token));
        expect(Array.from(handle.rankPrefix)).toEqual(
          buffers.map((_, r) => rows.filter(({ source }) => source <= r).length),
        );
        const [data, scales] = 'data' in recvX ? [recvX, undefined] : recvX;
        expect(data.shape).toEqual([length, 128]);
        rows.forEach(({ source, token, ids }, i) => {
          const from = round.sent[source]!;
          const row = from.x.data.subarray(token * 128, (token + 1) * 128);
          const got = data.data.subarray(i * 128, (i + 1) * 128);
          if (fp8) {
            const wanted = quantize(row, 128);
            expect(got).toEqual(wanted.hidden);
            expect(scales!.data[i]).toBe(wanted.scales[0]);
          } else expect(got).toEqual(row);
          const range = [i * 3, (i + 1) * 3] as const;
          expect(Array.from(recvTopkIdx!.data.slice(...range), Number)).toEqual(ids);
          const weights = from.topkWeights.data.subarray(token * 3, (token + 1) * 3);
          expect(Array.from(recvTopkWeights!.data.slice(...range))).toEqual(
            ids.map((id, k) => (id < 0 ? 0 : weights[k])),
          );
        });
        expect(recvTopkIdx!.data).toBeInstanceOf(BigInt64Array);
        expect(recvTopkIdx!.shape).toEqual([length, 3]);
        expect(recvTopkIdx!.data.slice(rows.length * 3).every((id: unknown) => id === -1n)).toBe(true);
        const counts = [0, 1].map((e) => rows.filter(({ ids }) => ids.includes(e)).length);
        expect(given.numRecvTokensPerExpertList).toEqual(
          numWorstTokens > 0 ? [] : counts.map((n) => Math.ceil(n / expertAlignment) * expertAlignment),
        );

        const bias = [1, 2].map((b) => ({
          data: own.x.data.map((v) => v ^ (b * 0x155)),
          shape: own.x.shape,
        }));
        const biases = bias.slice(0, seed % 3);
        const combined = await buffer.combine(partialsOf(round, rank, length), handle, {
          topkWeights: recvTopkWeights!,
          ...(biases.length === 1 && { bias: biases[0]! }),
          ...(biases.length === 2 && { bias: [biases[0]!, biases[1]!] as const }),
          asyncFinish: seed % 2 === 1,
        });
        await combined.event.currentStreamWait();
        expect(combined.combinedX.data).toEqual(combinedOf(round, rank, biases));
        // Each weight comes from one rank, so it is what it was; where nothing was chosen it went nowhere.
        expect(combined.combinedTopkWeights!.data).toEqual(
          own.topkWeights.data.map((weight, i) => (own.topkIdx.data[i]! < 0n ? 0 : weight)),
        );
      });
    }
  });
});

describe('normal mode', () => {
  it('dispatches again with a handle: the same way, other rows', async () => {
    const buffers = await open(3);
    const round = roundOf(2, 3);
    await all(buffers, async (buffer, rank) => {
      const own = round.sent[rank]!;
      const first = await buffer.dispatch(own.x, routed(buffer, round, own));
      expect(first.recvTopkWeights).toBeNull();
      await buffer.combine(partialsOf(round, rank, first.recvX.shape[0]!), first.handle);
      for (const sign of [0x8000, 0]) {
        const x = { data: own.x.data.map((v) => v ^ sign), shape: own.x.shape };
        const again = await buffer.dispatch(x, { handle: first.handle });
        expect(again).toMatchObject({
          recvTopkIdx: null,
          recvTopkWeights: null,
          numRecvTokensPerExpertList: null,
        });
        expect(again.handle).toBe(first.handle);
        expect(again.recvX.data).toEqual(first.recvX.data.map((v) => v ^ sign));
        const y = partialsOf(round, rank, again.recvX.shape[0]!);
        const { combinedX, combinedTopkWeights } = await buffer.combine(y, again.handle);
        expect(combinedX.data).toEqual(combinedOf(round, rank));
        expect(combinedTopkWeights).toBeNull();
      }
      const y = partialsOf(round, rank, first.recvX.shape[0]!);
      await expect(buffer.combine(y, first.handle)).rejects.toMatchObject({ code: 'WEFT_STATE' });
    });
  });

  it('two dispatches before their combines, beside low latency', async () => {
    const buffers = await open(2);
    const rounds = [roundOf(1, 2), roundOf(2, 2)];
    await all(buffers, async (buffer, rank) => {
      const given = [];
      for (const round of rounds) {
        const own = round.sent[rank]!;
        given.push(await buffer.dispatch(own.x, routed(buffer, round, own)));
        await buffer.lowLatencyDispatch(own.x, own.topkIdx, 9, 4);
      }
      for (const i of [1, 0]) {
        const y = partialsOf(rounds[i]!, rank, given[i]!.recvX.shape[0]!);
        const { combinedX } = await buffer.combine(y, given[i]!.handle);
        expect(combinedX.data).toEqual(combinedOf(rounds[i]!, rank));
      }
    });
  });

  it('too few numWorstTokens are told, and the rank is out of step', async () => {
    const buffers = await open(2);
    const round = roundOf(3, 2, [9]);
    await all(buffers, async (buffer, rank) => {
      const own = round.sent[rank]!;
      const options = { ...routed(buffer, round, own), numWorstTokens: 1 };
      await expect(buffer.dispatch(own.x, options)).rejects.toMatchObject({ code: 'WEFT_TOO_MANY_TOKENS' });
      await expect(buffer.dispatch(own.x, options)).rejects.toMatchObject({ code: 'WEFT_STATE' });
    });
  });
});
