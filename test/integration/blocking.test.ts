/** Engines that run their loop in a worker thread, blocking. */
import { on, once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import {
  type Coordinator,
  joinMesh,
  type Role,
  startCoordinator,
  type TransportName,
  type WeftError,
} from 'tensorweft';
import type { workload } from 'tensorweft/testing';
import { afterEach, describe, expect, it } from 'vitest';
import type { WorkerTask } from '../processes/blocking-worker.js';
import { program } from '../support/member.js';
import { everyTransport } from '../support/transports.js';

const layout = { hidden: 48, maxTokens: 6 };
const coordinators: Coordinator[] = [];
const workers: Worker[] = [];
const inboxes = new WeakMap<Worker, AsyncIterator<Message[]>>();
afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.terminate()));
  await Promise.all(coordinators.splice(0).map((coordinator) => coordinator.close()));
});

interface Message {
  waits?: boolean;
  done?: number;
  code?: string;
  phase?: string;
  at?: number;
}

async function mesh(scenario: workload.Scenario, transport: TransportName) {
  const coordinator = await startCoordinator({ attention: scenario.attention, ffn: scenario.ffn });
  coordinators.push(coordinator);
  const { url, token } = coordinator;
  const join = (role: Role) => ({ coordinator: url, token, role, transports: [transport], heapBytes: 0 });
  const start = (role: Role, task: Pick<WorkerTask, 'what' | 'cancel'>): Worker => {
    const workerData: WorkerTask = { join: join(role), scenario, ...task };
    const worker = new Worker(program('blocking-worker'), { workerData });
    workers.push(worker);
    inboxes.set(worker, on(worker, 'message')); // from now on, so that none is missed
    return worker;
  };
  return { join, start };
}

async function message(worker: Worker): Promise<Message> {
  return (await inboxes.get(worker)!.next()).value[0] as Message;
}

describe.each(everyTransport)('worker threads over %s', (transport) => {
  it('2 x 2, every rank in a thread of its own', async () => {
    const scenario: workload.Scenario = { attention: 2, ffn: 2, rounds: 100, layout };
    const { start } = await mesh(scenario, transport);
    const all = (['attention', 'attention', 'ffn', 'ffn'] as const).map((role) =>
      start(role, { what: 'drive' }),
    );
    expect(await Promise.all(all.map(message))).toEqual([
      { done: 100 },
      { done: 100 },
      { done: 200 },
      { done: 200 },
    ]);
    // They end by themselves.
    for (const worker of all) expect((await exitOf(worker))[0]).toBe(0);
  });

  it.each(['attention', 'ffn'] as const)(
    'another thread ends the wait of %s by the cancel flag',
    async (role) => {
      const { start, join } = await mesh({ attention: 1, ffn: 1, rounds: 1, layout }, transport);
      const cancel = new Int32Array(new SharedArrayBuffer(8));
      const worker = start(role, { what: 'cancel', cancel });
      const peer = await joinMesh({ ...join(role === 'ffn' ? 'attention' : 'ffn'), layout });
      expect(await message(worker)).toEqual({ waits: true });
      await sleep(100);
      const since = performance.timeOrigin + performance.now();
      Atomics.store(cancel, 0, 1);
      const { at, ...answer } = await message(worker);
      expect(answer).toEqual({ code: 'WEFT_ABORTED', phase: role === 'ffn' ? 'collect' : 'combine' });
      expect(at! - since).toBeLessThan(500);
      await peer.close();
    },
  );

  it('a thread may be terminated in the middle of an asynchronous wait', async () => {
    const { start, join } = await mesh({ attention: 1, ffn: 1, rounds: 1, layout }, transport);
    const worker = start('attention', { what: 'await' });
    const peer = await joinMesh({ ...join('ffn'), layout });
    expect(await message(worker)).toEqual({ waits: true });
    const batch = await peer.ffn.next();
    expect(batch?.parts).toHaveLength(1);
    await worker.terminate();
    // The thread took its end of the mesh with it. Whether it left or was lost depends on who tells first: its end of
    // the data plane says goodbye, the coordinator only sees a connection break.
    const next = await peer.ffn.next().catch((error: WeftError) => error.code);
    expect([undefined, 'WEFT_PEER_LOST']).toContain(next);
    batch!.reply();
    await peer.close();
  });
});

async function exitOf(worker: Worker): Promise<unknown[]> {
  return worker.threadId === -1 ? [0] : await once(worker, 'exit');
}
