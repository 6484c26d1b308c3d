/**
 * One round, streamed both ways. The attention process publishes its rows block by block, as if each had to be computed;
 * the FFN process works on a block while the next is being made, and streams its reply back the same way. The times
 * show that the three stages overlap inside a single round.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ExchangeLayout, type FfnPart, fromBf16, joinMesh, startCoordinator } from 'tensorweft';

const BLOCK = 16;
const BLOCKS = 4;
const MAKING_MS = 40;
const HIDDEN = 256;
const layout: ExchangeLayout = { hidden: HIDDEN, maxTokens: BLOCK * BLOCKS };
const { ROLE: role, COORDINATOR = '', TOKEN: token = '' } = process.env;

/** Stands for computing `ms` milliseconds long. */
const compute = sleep;
/** Both processes count from the parent's start. */
const since = Number(process.env.SINCE ?? Date.now());
const say = (text: string): void => console.log(`${String(Date.now() - since).padStart(5)} ms  ${text}`);

async function attention(): Promise<void> {
  await using mesh = await joinMesh({ coordinator: COORDINATOR, token, role: 'attention', layout });
  const slot = mesh.attention.claim({ tokens: BLOCK * BLOCKS });
  const round = slot.begin();
  const combined = round.combine(); // reduces block i of the reply while block i + 1 is on its way
  for (let block = 0; block < BLOCKS; block++) {
    await compute(MAKING_MS);
    slot.write(new Float32Array(BLOCK * HIDDEN).fill(block + 1), block * BLOCK);
    slot.publish((block + 1) * BLOCK);
    say(`attention  published block ${block}`);
  }
  const out = await combined;
  const firsts = Array.from(
    { length: BLOCKS },
    (_, block) => fromBf16(out.row(block * BLOCK) as Uint16Array)[0],
  );
  say(`attention  combined ${out.shape[0]} rows; their blocks start with ${firsts.join(' ')}`);
}

async function ffn(): Promise<void> {
  await using mesh = await joinMesh({ coordinator: COORDINATOR, token, role: 'ffn', layout });
  for await (const { parts } of mesh.ffn.batches({ streamed: true })) {
    for (const part of parts) await serve(part);
  }
}

/** Negates each block when it is there, and lets it go at once. */
async function serve(part: FfnPart): Promise<void> {
  const { hidden, output } = part;
  for (let done = 0; done < part.tokens; ) {
    await part.whenAvailable(done + 1);
    const ready = part.available;
    for (let i = done * HIDDEN; i < ready * HIDDEN; i++) output[i] = hidden[i]! ^ 0x8000;
    part.publish(ready);
    say(`ffn        answered rows ${done} to ${ready - 1}`);
    done = ready;
  }
}

if (role === 'attention') await attention();
else if (role === 'ffn') await ffn();
else {
  await using coordinator = await startCoordinator({ attention: 1, ffn: 1 });
  const env = {
    ...process.env,
    COORDINATOR: coordinator.url,
    TOKEN: coordinator.token,
    SINCE: String(since),
  };
  const ranks = ['attention', 'ffn'].map((ROLE) => fork(import.meta.filename, { env: { ...env, ROLE } }));
  const codes = await Promise.all(ranks.map(async (rank) => (await once(rank, 'exit'))[0] as number | null));
  process.exitCode = codes.every((code) => code === 0) ? 0 : 1;
}
