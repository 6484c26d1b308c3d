import type { Mesh } from '../../mesh/mesh.js';
import type { TransportName } from '../../mesh/transport-names.js';

const HIDDEN = 256;
const TOKENS = 16;
const ROUNDS = 8;
const DEADLINE_MS = 10_000;

/**
 * A mesh of two members in this process, over one transport: rows go to the FFN side and come back with their signs
 * changed, and every bit is compared. Returns the fastest round trip in microseconds.
 *
 * @throws WeftError what failed, and Error when bytes were wrong
 */
export async function roundTrip(transport: TransportName): Promise<number> {
  const [{ startCoordinator }, { joinMesh }] = await Promise.all([
    import('../../mesh/coordinator.js'),
    import('../../mesh/join.js'),
  ]);
  await using coordinator = await startCoordinator({ attention: 1, ffn: 1 });
  const join = (role: 'attention' | 'ffn'): Promise<Mesh> =>
    joinMesh({
      coordinator: coordinator.url,
      token: coordinator.token,
      role,
      layout: { hidden: HIDDEN, maxTokens: TOKENS },
      transports: [transport],
      require: [transport],
      deadlineMs: DEADLINE_MS,
      heapBytes: 0,
    });
  const joined = await Promise.allSettled([join('attention'), join('ffn')]);
  const members = joined.filter((one) => one.status === 'fulfilled').map((one) => one.value);
  try {
    for (const one of joined) if (one.status === 'rejected') throw one.reason;
    const [attention, ffn] = members as [Mesh, Mesh];
    return await exchange(attention, ffn);
  } finally {
    await Promise.all(members.map((member) => member.close()));
  }
}

async function exchange(attention: Mesh, ffn: Mesh): Promise<number> {
  const stop = new AbortController();
  const serving = serve(ffn, stop.signal);
  try {
    let best = Number.POSITIVE_INFINITY;
    for (let round = 0; round < ROUNDS; round++) best = Math.min(best, await oneRound(attention, round));
    return best;
  } finally {
    stop.abort();
    await serving;
  }
}

async function oneRound(attention: Mesh, round: number): Promise<number> {
  const slot = attention.attention.claim({ tokens: TOKENS, tag: round });
  const sent = slot.hidden as Uint16Array;
  for (let i = 0; i < sent.length; i++) sent[i] = pattern(round, i);
  const started = performance.now();
  const { data } = await slot.dispatch().combine();
  const microseconds = (performance.now() - started) * 1000;
  for (let i = 0; i < TOKENS * HIDDEN; i++)
    if (data[i] !== (pattern(round, i) ^ 0x8000))
      throw new Error(`round ${round}: wrong bytes at element ${i}`);
  return microseconds;
}

/** Finite bf16 values, others in each round. */
const pattern = (round: number, i: number): number => (i * 31 + round * 7) & 0x3fff;

async function serve(mesh: Mesh, signal: AbortSignal): Promise<void> {
  try {
    for await (const { parts } of mesh.ffn.batches({ signal }))
      for (const part of parts) {
        const { hidden, output, rows } = part;
        for (let i = 0; i < rows * HIDDEN; i++) output[i] = hidden[i]! ^ 0x8000;
        part.reply();
      }
  } catch (error) {
    // When it is not our own stop, the attention side fails too, and tells more.
    if (!signal.aborted) return;
    if ((error as { code?: unknown }).code !== 'WEFT_ABORTED') throw error;
  }
}
