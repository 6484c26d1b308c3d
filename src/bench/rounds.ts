/** The library's rounds from TypeScript, as an engine would write them; blocking, and with promises. */

import type { AttentionRound } from '../afd/attention-round.js';
import type { AttentionSlot } from '../afd/attention-slot.js';
import type { FfnBatch } from '../afd/ffn-batch.js';
import type { Mesh } from '../mesh/mesh.js';
import { native } from '../native.js';
import type { Tensor } from '../tensor/tensor.js';

const { bench } = native;

interface InFlight {
  slot: AttentionSlot;
  round: AttentionRound;
  start: number;
}

/** Keeps `depth` rounds in flight. Returns bytes found wrong; samples are nanoseconds. */
export function attentionRounds(mesh: Mesh, depth: number, samples: Float64Array): number {
  const result = resultOf(mesh);
  const flight: InFlight[] = [];
  let wrong = 0;
  for (let sent = 0, done = 0; done < samples.length; ) {
    if (sent < samples.length && flight.length < depth) {
      flight.push(dispatch(mesh));
      sent++;
      continue;
    }
    const { slot, round, start } = flight.shift()!;
    if (result instanceof Uint8Array) result.set(round.repliesSync()[0]!.output as Uint8Array);
    else round.combineSync({ into: result });
    samples[done++] = (performance.now() - start) * 1e6;
    wrong += check(mesh, slot, result);
  }
  return wrong;
}

export async function promisedAttentionRounds(
  mesh: Mesh,
  depth: number,
  samples: Float64Array,
): Promise<number> {
  const result = resultOf(mesh);
  const flight: InFlight[] = [];
  let wrong = 0;
  for (let sent = 0, done = 0; done < samples.length; ) {
    if (sent < samples.length && flight.length < depth) {
      flight.push(dispatch(mesh));
      sent++;
      continue;
    }
    const { slot, round, start } = flight.shift()!;
    if (result instanceof Uint8Array) result.set((await round.replies())[0]!.output as Uint8Array);
    else await round.combine({ into: result });
    samples[done++] = (performance.now() - start) * 1e6;
    wrong += check(mesh, slot, result);
  }
  return wrong;
}

/** One buffer for all results, as every contender has it; opaque replies are copied there, so that they are read. */
function resultOf(mesh: Mesh): Tensor | Uint8Array {
  const { combine, hidden, maxTokens } = mesh.layout;
  return combine === 'none' ? new Uint8Array(hidden * maxTokens) : mesh.attention.outputOf(1);
}

function dispatch(mesh: Mesh): InFlight {
  const slot = mesh.attention.claim({ tokens: mesh.layout.maxTokens });
  bench.fill(mesh.rank, slot.generation, slot.hidden, scalesOf(mesh, slot));
  const start = performance.now();
  return { slot, round: slot.dispatch(), start };
}

function check(mesh: Mesh, slot: AttentionSlot, result: Tensor | Uint8Array): number {
  return bench.countWrong(
    slot.hidden,
    scalesOf(mesh, slot),
    result instanceof Uint8Array ? result : result.data,
  );
}

export function ffnRounds(mesh: Mesh, rounds: number): void {
  for (let left = rounds * mesh.roster.attention; left > 0; ) left -= serve(mesh, mesh.ffn.nextSync()!);
}

export async function promisedFfnRounds(mesh: Mesh, rounds: number): Promise<void> {
  for (let left = rounds * mesh.roster.attention; left > 0; ) left -= serve(mesh, (await mesh.ffn.next())!);
}

function serve(mesh: Mesh, batch: FfnBatch): number {
  for (const part of batch.parts) {
    bench.consume(part.hidden, mesh.layout.dtype === 'fp8e4m3' ? part.scales : undefined, part.output);
    part.reply();
  }
  return batch.parts.length;
}

function scalesOf(mesh: Mesh, slot: AttentionSlot): Float32Array | undefined {
  return mesh.layout.dtype === 'fp8e4m3' ? slot.scales : undefined;
}
