/** One rank in a worker thread that blocks in its waits. */
import { parentPort, workerData } from 'node:worker_threads';
import { isWeftError, type JoinOptions, joinMesh } from 'tensorweft';
import { workload } from 'tensorweft/testing';

export interface WorkerTask {
  join: Omit<JoinOptions, 'layout'>;
  scenario: workload.Scenario;
  /** drive: the scenario's rounds. cancel: one wait that never ends, but for the flag. await: the same, not blocking. */
  what: 'drive' | 'cancel' | 'await';
  /** Over a SharedArrayBuffer. */
  cancel?: Int32Array;
}

const { join, scenario, what, cancel } = workerData as WorkerTask;
const mesh = await joinMesh({ ...join, layout: scenario.layout });

async function work(): Promise<number> {
  if (what === 'drive') {
    if (mesh.role === 'ffn') return await workload.driveFfn(mesh, scenario, { blocking: true });
    await workload.driveAttention(mesh, scenario, { blocking: true, inFlight: 2 });
    return scenario.rounds;
  }
  const options = { deadlineMs: Number.POSITIVE_INFINITY, ...(what === 'cancel' && { cancel }) };
  parentPort!.postMessage({ waits: true });
  if (mesh.role === 'ffn') {
    if (what === 'await') await mesh.ffn.next(options);
    else mesh.ffn.nextSync(options);
  } else {
    const round = mesh.attention.claim({ tokens: 1 }).dispatch();
    if (what === 'await') await round.combine(options);
    else round.combineSync(options);
  }
  return 0;
}

try {
  parentPort!.postMessage({ done: await work() });
} catch (error) {
  if (!isWeftError(error)) throw error;
  parentPort!.postMessage({
    code: error.code,
    phase: error.phase,
    at: performance.timeOrigin + performance.now(),
  });
}
await mesh.close();
