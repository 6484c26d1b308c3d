/**
 * A worker thread blocks for ever in a wait, and the process ends: node blocked.js TRANSPORT
 */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { joinMesh, type Mesh, startCoordinator, type TransportName } from 'tensorweft';

interface Start {
  coordinator: string;
  token: string;
  transport: TransportName;
}

function join(role: 'attention' | 'ffn', { transport, ...access }: Start): Promise<Mesh> {
  const layout = { hidden: 256, maxTokens: 16 };
  return joinMesh({ ...access, role, layout, transports: [transport] });
}

if (isMainThread) {
  const coordinator = await startCoordinator({ attention: 1, ffn: 1 });
  const transport = process.argv[2] as TransportName;
  const start: Start = { coordinator: coordinator.url, token: coordinator.token, transport };
  const worker = new Worker(new URL(import.meta.url), { workerData: start });
  const blocks = once(worker, 'message');
  await Promise.all([join('attention', start), blocks]);
  await sleep(100); // long enough that it has stopped spinning
  process.exit(9);
} else {
  const mesh = await join('ffn', workerData as Start);
  parentPort!.postMessage('about to block');
  mesh.ffn.nextSync({ deadlineMs: Number.POSITIVE_INFINITY });
}
