import { expect } from 'vitest';
import type { deepep } from '../../../../src/index.js';
import { bf16OfAll, combineRows, quantizeRow, valuesOfBf16 } from '../../../../src/testing/numerics.js';
import { bf16At, type Tokens } from './ranks.js';

/** A round of low latency as plain loops have it. */
export interface Round {
  hidden: number;
  experts: number;
  topK: number;
  maxTokens: number;
  /** By rank. */
  sent: readonly Tokens[];
}

interface Row {
  source: number;
  token: number;
}

/** The rows of an expert, by source and token. */
export function rowsOf({ sent, topK }: Round, expert: number): Row[] {
  return sent.flatMap(({ topkIdx }, source) =>
    Array.from(topkIdx.data.keys())
      .filter((i) => topkIdx.data[i] === BigInt(expert))
      .map((i) => ({ source, token: Math.floor(i / topK) })),
  );
}

type Rows = deepep.NdArray<Uint16Array> | deepep.Fp8Pair<Float32Array | Int32Array>;

/** Checks all that a dispatch gave `rank`, bit by bit. */
export function checkDispatched(
  round: Round,
  rank: number,
  { recvX, recvCount, handle }: Pick<deepep.LowLatencyDispatched<Rows>, 'recvX' | 'recvCount' | 'handle'>,
  powerOfTwo = false,
): void {
  const { sent, hidden, experts, maxTokens } = round;
  const ranks = sent.length;
  const local = experts / ranks;
  const room = ranks * maxTokens;
  expect(recvCount).toHaveLength(local);
  expect(handle).toMatchObject({ hidden, numExperts: experts, numMaxDispatchTokensPerRank: maxTokens });
  expect(handle.srcInfo.shape).toEqual([local, room]);
  expect(handle.layoutRange.shape).toEqual([local, ranks]);
  const x = 'data' in recvX ? recvX : recvX[0];
  expect(x.shape).toEqual([local, room, hidden]);
  for (let e = 0; e < local; e++) {
    const rows = rowsOf(round, rank * local + e);
    expect(recvCount[e]).toBe(rows.length);
    for (let source = 0; source < ranks; source++) {
      const range = handle.layoutRange.data[e * ranks + source]!;
      const of = rows.filter((row) => row.source === source).length;
      expect(Number(range & 0xffffffffn)).toBe(of);
      expect(Number(range >> 32n)).toBe(rows.filter((row) => row.source < source).length);
    }
    rows.forEach(({ source, token }, i) => {
      expect(handle.srcInfo.data[e * room + i]).toBe(token);
      const from = sent[source]!.x.data.subarray(token * hidden, (token + 1) * hidden);
      const at = (e * room + i) * hidden;
      const got = x.data.subarray(at, at + hidden);
      if ('data' in recvX) {
        expect(got).toEqual(from);
        return;
      }
      const { codes, scales } = quantizeRow(valuesOfBf16(from), powerOfTwo);
      expect(got).toEqual(codes);
      expect(scalesOf(recvX[1], e, i)).toEqual(scales);
    });
  }
}

/** A row's scales, found by the strides; exponents as the numbers that they stand for. */
function scalesOf({ data, shape, strides }: deepep.NdArray<Float32Array | Int32Array>, e: number, i: number) {
  const [ofExpert, ofRow, ofGroup] = strides as [number, number, number];
  const at = (g: number): number => data[e * ofExpert + i * ofRow + g * ofGroup]!;
  const width = shape[2]!;
  if (data instanceof Float32Array) return Float32Array.from({ length: width }, (_, g) => at(g));
  return Float32Array.from(
    { length: width * 4 },
    (_, g) => 2 ** (((at(g >> 2) >>> (8 * (g & 3))) & 255) - 127),
  );
}

/** What an expert makes of a row: it depends on all of who, whose, which and where. */
export function outputAt(expert: number, source: number, token: number, c: number): number {
  return bf16At(5, expert, source, token, c);
}

/** The outputs of a rank's experts, packed as what it received; places without a row hold NaN. */
export function outputsOf(
  round: Round,
  rank: number,
  into?: deepep.NdArray<Uint16Array>,
): deepep.NdArray<Uint16Array> {
  const { sent, hidden, experts, maxTokens } = round;
  const local = experts / sent.length;
  const room = sent.length * maxTokens;
  const y = into ?? {
    data: new Uint16Array(local * room * hidden).fill(0x7fc1),
    shape: [local, room, hidden],
  };
  for (let e = 0; e < local; e++)
    rowsOf(round, rank * local + e).forEach(({ source, token }, i) => {
      for (let c = 0; c < hidden; c++)
        y.data[(e * room + i) * hidden + c] = outputAt(rank * local + e, source, token, c);
    });
  return y;
}

/** What `rank` must combine, in the order of the choices. */
export function combinedOf({ sent, hidden, topK }: Round, rank: number): Uint16Array {
  const { x, topkIdx, topkWeights } = sent[rank]!;
  const tokens = x.shape[0]!;
  const out = new Uint16Array(tokens * hidden);
  for (let token = 0; token < tokens; token++) {
    const summands = Array.from({ length: topK }, (_, k) => token * topK + k)
      .filter((i) => topkIdx.data[i]! >= 0n)
      .map((i) => ({
        row: Uint16Array.from({ length: hidden }, (_, c) =>
          outputAt(Number(topkIdx.data[i]), rank, token, c),
        ),
        weight: topkWeights.data[i]!,
      }));
    out.set(bf16OfAll(combineRows(summands, hidden)), token * hidden);
  }
  return out;
}
