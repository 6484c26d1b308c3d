import { describe, expect, it } from 'vitest';
import {
  type ExchangeLayout,
  isWeftError,
  joinMesh,
  type Mesh,
  startCoordinator,
  type Tensor,
  type WeftCode,
} from '../../../src/index.js';
import { bf16OfAll, combineRows } from '../../../src/testing/numerics.js';
import { bf16At, mixed } from './deepep/ranks.js';

const hidden = 48;
const topK = 3;
const tokens = 5;

const weightsOf = (seed: number): Float32Array =>
  Float32Array.from({ length: tokens * topK }, (_, i) => mixed(seed, i) / 2 ** 31 - 1);
const biasOf = (mesh: Mesh, seed: number): Tensor => {
  const bias = mesh.tensor('bf16', [8, hidden]);
  (bias.data as Uint16Array).set(Uint16Array.from({ length: bias.data.length }, (_, i) => bf16At(seed, i)));
  return bias;
};
/** What is replied for a choice of a token. */
const replyOf = (token: number, k: number): Uint16Array =>
  Uint16Array.from({ length: hidden }, (_, c) => bf16At(3, token, k, c));

async function refusedWith(code: WeftCode, act: () => Promise<unknown>): Promise<void> {
  const error: unknown = await act().catch((reason: unknown) => reason);
  if (!isWeftError(error, code)) throw error;
}

/** A rank alone dispatches once, serves itself, and combines with what it is given. */
async function withMesh(
  combine: NonNullable<ExchangeLayout['combine']>,
  act: (mesh: Mesh) => Promise<void>,
): Promise<void> {
  await using coordinator = await startCoordinator({ ep: 1 });
  await using mesh = await joinMesh({
    coordinator: coordinator.url,
    token: coordinator.token,
    role: 'ep',
    layout: { hidden, maxTokens: 8, experts: { count: 4, topK }, combine },
  });
  await act(mesh);
}

async function dispatched(mesh: Mesh) {
  const slot = mesh.ep.claim({ tokens });
  slot.write(new Uint16Array(tokens * hidden));
  for (let i = 0; i < tokens * topK; i++) slot.experts[i] = i % 4 === 2 ? -1 : i % 4;
  const experts = slot.experts.slice(0, tokens * topK);
  slot.weights.set(weightsOf(1));
  const round = slot.dispatch();
  const batch = await mesh.ep.next();
  return { round, batch, experts };
}

describe('combine with other inputs than those of the dispatch', () => {
  it('weights and biases, bit by bit', async () => {
    await withMesh('weighted', async (mesh) => {
      const one = biasOf(mesh, 11);
      const two = biasOf(mesh, 12);
      const [first, second] = [weightsOf(1), weightsOf(2)];
      for (const { weights, bias } of [
        {},
        { weights: second },
        { bias: one },
        { weights: second, bias: [one, two] as const },
        {}, // nothing stays behind
      ] as { weights?: Float32Array; bias?: Tensor | readonly [Tensor, Tensor] }[]) {
        const { round, batch, experts } = await dispatched(mesh);
        const output = batch.output;
        batch.token.forEach((token, place) => {
          output.set(replyOf(token, batch.k[place]!), place * hidden);
        });
        batch.reply();
        const result = await round.combine({ ...(weights && { weights }), ...(bias && { bias }) });
        const biases = bias === undefined ? [] : Array.isArray(bias) ? bias : [bias as Tensor];
        for (let token = 0; token < tokens; token++) {
          const chosen = [0, 1, 2].filter((k) => experts[token * topK + k] !== -1);
          const summands = [
            ...biases.map((each: Tensor) => ({ row: each.row(token) as Uint16Array, weight: 1 })),
            ...chosen.map((k) => ({ row: replyOf(token, k), weight: (weights ?? first)[token * topK + k] })),
          ];
          expect(result.row(token)).toEqual(bf16OfAll(combineRows(summands, hidden)));
        }
        await refusedWith('WEFT_STATE', () => round.combine({ weights: second }));
      }
    });
  });

  it('a second combine after a deadline goes on with them; other weights may be given', async () => {
    await withMesh('weighted', async (mesh) => {
      const { round, batch, experts } = await dispatched(mesh);
      await refusedWith('WEFT_DEADLINE', () => round.combine({ weights: weightsOf(7), deadlineMs: 5 }));
      await refusedWith('WEFT_DEADLINE', () => round.combine({ weights: weightsOf(8), deadlineMs: 5 }));
      batch.token.forEach((token, place) => {
        batch.output.set(replyOf(token, batch.k[place]!), place * hidden);
      });
      batch.reply();
      const result = await round.combine();
      for (let token = 0; token < tokens; token++) {
        const chosen = [0, 1, 2].filter((k) => experts[token * topK + k] !== -1);
        const summands = chosen.map((k) => ({
          row: replyOf(token, k),
          weight: weightsOf(8)[token * topK + k],
        }));
        expect(result.row(token)).toEqual(bf16OfAll(combineRows(summands, hidden)));
      }
    });
  });

  it('what does not fit is refused, and the round can be combined all the same', async () => {
    await withMesh('weighted', async (mesh) => {
      const { round, batch } = await dispatched(mesh);
      batch.output.fill(0);
      batch.reply();
      await refusedWith('WEFT_INVALID_ARGUMENT', () => round.combine({ weights: new Float32Array(14) }));
      await refusedWith('WEFT_DTYPE', () => round.combine({ weights: new Float64Array(15) as never }));
      await refusedWith('WEFT_INVALID_ARGUMENT', () =>
        round.combine({ bias: mesh.tensor('bf16', [4, hidden]) }),
      );
      await refusedWith('WEFT_DTYPE', () => round.combine({ bias: mesh.tensor('f32', [8, hidden]) }));
      await refusedWith('WEFT_INVALID_ARGUMENT', () => round.combine({ bias: [] as never }));
      const freed = mesh.tensor('bf16', [8, hidden]);
      mesh.free(freed);
      await refusedWith('WEFT_FOREIGN_BUFFER', () => round.combine({ bias: freed }));
      expect((await round.combine({ weights: weightsOf(1) })).data.every((v) => (v & 0x7fff) === 0)).toBe(
        true,
      );
    });
    await withMesh('sum', async (mesh) => {
      const { round, batch } = await dispatched(mesh);
      batch.sums.fill(0);
      batch.replySums();
      await refusedWith('WEFT_STATE', () => round.combine({ weights: weightsOf(1) }));
      const bias = biasOf(mesh, 4);
      expect((await round.combine({ bias })).data).toEqual(bias.data.subarray(0, tokens * hidden));
    });
  });
});

it("mode 'all': biases come before the ranks", async () => {
  await using coordinator = await startCoordinator({ attention: 1, ffn: 2 });
  const at = { coordinator: coordinator.url, token: coordinator.token, layout: { hidden, maxTokens: 8 } };
  const [mesh, ...ffn] = await Promise.all([
    joinMesh({ ...at, role: 'attention' }),
    joinMesh({ ...at, role: 'ffn', rank: 0 }),
    joinMesh({ ...at, role: 'ffn', rank: 1 }),
  ]);
  const bias = [biasOf(mesh, 1), biasOf(mesh, 2)] as const;
  const slot = mesh.attention.claim({ tokens });
  slot.write(new Uint16Array(tokens * hidden));
  const round = slot.dispatch();
  for (const [rank, each] of ffn.entries()) {
    const [part] = (await each.ffn.next())!.parts;
    for (let token = 0; token < tokens; token++) part!.output.set(replyOf(token, rank), token * hidden);
    part!.reply();
  }
  const result = await round.combine({ bias });
  for (let token = 0; token < tokens; token++) {
    const rows = [
      ...bias.map((each) => each.row(token) as Uint16Array),
      replyOf(token, 0),
      replyOf(token, 1),
    ];
    const wanted = combineRows(
      rows.map((row) => ({ row })),
      hidden,
    );
    expect(result.row(token)).toEqual(bf16OfAll(wanted));
  }
  await Promise.all([mesh, ...ffn].map((each) => each.close()));
});
