import { afterEach } from 'vitest';
import { deepep } from '../../../../src/index.js';
import { startCoordinator } from '../../../../src/mesh/coordinator.js';
import { bf16Of } from '../../../../src/testing/numerics.js';

export type Bf16 = deepep.NdArray<Uint16Array>;

export interface Ranks {
  /** A buffer for each rank of a new coordinator. */
  open(size: number, group?: Partial<deepep.Group>, options?: deepep.BufferOptions): Promise<deepep.Buffer[]>;
}

/** Buffers that are destroyed after each test of the file. */
export function useRanks(): Ranks {
  const closing: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  });
  return {
    open: async (size, group = {}, options = {}) => {
      const coordinator = await startCoordinator({ ep: size });
      closing.push(() => coordinator.close());
      const { url, token } = coordinator;
      const buffers = await Promise.all(
        Array.from({ length: size }, (_, rank) =>
          deepep.Buffer.create({ coordinator: url, token, rank, size, ...group }, options),
        ),
      );
      closing.push(async () => void (await Promise.all(buffers.map((buffer) => buffer.destroy()))));
      return buffers;
    },
  };
}

/** Does the same on all ranks at once. */
export function all<T>(
  buffers: readonly deepep.Buffer[],
  act: (buffer: deepep.Buffer, rank: number) => Promise<T>,
): Promise<T[]> {
  return Promise.all(buffers.map(act));
}

/** A number of 32 bits that depends on all of `keys`. */
export function mixed(...keys: number[]): number {
  let hash = 0x9e3779b9;
  for (const key of keys) {
    hash = Math.imul(hash ^ key, 0x85ebca6b);
    hash ^= hash >>> 13;
    hash = Math.imul(hash, 0xc2b2ae35);
    hash ^= hash >>> 16;
  }
  return hash >>> 0;
}

/** A bf16 of either sign, of 1/16 to 16, that depends on all of `keys`. */
export function bf16At(...keys: number[]): number {
  const hash = mixed(...keys);
  return bf16Of((hash & 1 ? 1 : -1) * 2 ** (((hash >>> 1) & 7) - 4) * (1 + (hash >>> 8) / 2 ** 24));
}

/** Of a rank's tokens: experts [tokens, topK], distinct within a token, some of them -1, and weights. */
export interface Tokens {
  x: Bf16;
  topkIdx: deepep.NdArray<BigInt64Array>;
  topkWeights: deepep.NdArray<Float32Array>;
}

export function tokensOf(
  seed: number,
  rank: number,
  { tokens, hidden, experts, topK }: { tokens: number; hidden: number; experts: number; topK: number },
): Tokens {
  const ids = new BigInt64Array(tokens * topK);
  const weights = new Float32Array(tokens * topK);
  for (let t = 0; t < tokens; t++) {
    const order = Array.from({ length: experts }, (_, e) => e).sort(
      (a, b) => mixed(seed, rank, t, a) - mixed(seed, rank, t, b),
    );
    for (let k = 0; k < topK; k++) {
      const none = mixed(seed, rank, t, k, 77) % 6 === 0;
      ids[t * topK + k] = none ? -1n : BigInt(order[k]!);
      weights[t * topK + k] = (mixed(seed, rank, t, k, 99) / 2 ** 32) * 2 - 0.5;
    }
  }
  const x = new Uint16Array(tokens * hidden);
  for (let t = 0; t < tokens; t++)
    for (let c = 0; c < hidden; c++) x[t * hidden + c] = bf16At(seed, rank, t, c);
  return {
    x: { data: x, shape: [tokens, hidden] },
    topkIdx: { data: ids, shape: [tokens, topK] },
    topkWeights: { data: weights, shape: [tokens, topK] },
  };
}
