/**
 * A mesh of one attention and one FFN rank in this process, and how it ends:
 * node life.js TRANSPORT close | cycles | exit | throw
 */
import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { joinMesh, type Mesh, startCoordinator, type TransportName } from 'tensorweft';

const [transport, ending] = process.argv.slice(2) as [TransportName, 'close' | 'cycles' | 'exit' | 'throw'];

interface Pair {
  attention: Mesh;
  ffn: Mesh;
  close(): Promise<void>;
}

async function openPair(): Promise<Pair> {
  const coordinator = await startCoordinator({ attention: 1, ffn: 1 });
  const join = (role: 'attention' | 'ffn'): Promise<Mesh> =>
    joinMesh({
      coordinator: coordinator.url,
      token: coordinator.token,
      role,
      layout: { hidden: 256, maxTokens: 16 },
      transports: [transport],
      heapBytes: 1 << 20,
    });
  const [attention, ffn] = await Promise.all([join('attention'), join('ffn')]);
  const close = async (): Promise<void> => {
    await Promise.all([attention.close(), ffn.close()]);
    await coordinator.close();
  };
  return { attention, ffn, close };
}

/** A rank of an expert-parallel mesh, alone. */
async function openAlone(): Promise<{ mesh: Mesh; close(): Promise<void> }> {
  const coordinator = await startCoordinator({ ep: 1 });
  const mesh = await joinMesh({
    coordinator: coordinator.url,
    token: coordinator.token,
    role: 'ep',
    layout: { hidden: 16, maxTokens: 4, experts: { count: 1, topK: 1 } },
    transports: [transport],
    heapBytes: 1 << 20,
  });
  return { mesh, close: () => mesh.close().then(() => coordinator.close()) };
}

async function oneRound({ attention, ffn }: Pair): Promise<void> {
  const slot = attention.attention.claim({ tokens: 3 });
  slot.write(new Float32Array(3 * 256).fill(2));
  const combining = slot.dispatch().combine();
  const batch = await ffn.ffn.next();
  batch!.replyFrom(batch!.contiguous());
  const result = await combining;
  if (result.data[5] !== 0x4000) throw new Error(`the result is ${result.data[5]}`);
}

const files = (): number => readdirSync('/proc/self/fd').length;
const memory = (): number => process.memoryUsage.rss();

async function cycles(count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const pair = await openPair();
    await oneRound(pair);
    await pair.close();
  }
  // Mappings are given back when the views of them are; sockets and timers at once.
  for (let i = 0; i < 3; i++) {
    globalThis.gc!();
    await sleep(20);
  }
}

if (ending === 'cycles') {
  await cycles(10);
  const before = { files: files(), rss: memory() };
  await cycles(50);
  console.log(JSON.stringify({ before, after: { files: files(), rss: memory() } }));
} else {
  const pair = await openPair();
  await oneRound(pair);
  const alone = await openAlone();
  const slot = alone.mesh.ep.claim({ tokens: 1 });
  slot.experts.fill(0);
  slot.begin();
  const rows = await alone.mesh.ep.next({ streamed: true });
  // Waits that are under way when it ends.
  const waits = [
    rows.nextBlock({ deadlineMs: 60_000 }),
    pair.ffn.ffn.next({ deadlineMs: 60_000 }),
    pair.attention.attention.claim({ tokens: 1 }).dispatch().combine({ deadlineMs: 60_000 }),
  ].map((wait: Promise<unknown>) => wait.then(() => 'done').catch((error: { code: string }) => error.code));
  if (ending === 'exit') process.exit(7);
  if (ending === 'throw') throw new Error('on purpose');
  await waits[1];
  await alone.close();
  await pair.close();
  await pair.close();
  const codes = await Promise.all(waits);
  // Closed handles are listed until the event loop has come around.
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
  console.log(JSON.stringify({ waits: codes, active: process.getActiveResourcesInfo() }));
}
