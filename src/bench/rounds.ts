/** The library's rounds from TypeScript, as an engine would write them; blocking, and with promises. */

import type { AttentionRound } from '../afd/attention-round.js';
import type { AttentionSlot } from '../afd/attention-slot.js';
import type { FfnBatch } from '../afd/ffn-batch.js';
import type { Mesh } from '../mesh/mesh.js';
import { native } from '../native.js';
import type { TypedArray } from '../tensor/dtype.js';
import type { Tensor } from '../tensor/tensor.js';

const { bench } = native;

/** Returns bytes found wrong; samples are nanoseconds. */
export function attentionRounds(mesh: Mesh, samples: Float64Array): number {
  const opaque = mesh.layout.combine === 'none';
  const copy = new Uint8Array(opaque ? mesh.layout.hidden * mesh.layout.maxTokens : 0);
  const choices = opaque ? {} : { into: outputOf(mesh) };
  let wrong = 0;
  for (let i = 0; i < samples.length; i++) {
    const slot = claim(mesh);
    const start = performance.now();
    const round = slot.dispatch();
    const result = opaque ? readReply(round, copy) : round.combineSync(choices).data;
    samples[i] = (performance.now() - start) * 1e6;
    wrong += bench.countWrong(slot.hidden, scalesOf(mesh, slot), result);
  }
  return wrong;
}

export async function promisedAttentionRounds(mesh: Mesh, samples: Float64Array): Promise<number> {
  const opaque = mesh.layout.combine === 'none';
  const choices = opaque ? {} : { into: outputOf(mesh) };
  let wrong = 0;
  for (let i = 0; i < samples.length; i++) {
    const slot = claim(mesh);
    const start = performance.now();
    const round = slot.dispatch();
    const result = opaque ? (await round.replies())[0]!.output : (await round.combine(choices)).data;
    samples[i] = (performance.now() - start) * 1e6;
    wrong += bench.countWrong(slot.hidden, scalesOf(mesh, slot), result);
  }
  return wrong;
}

export function ffnRounds(mesh: Mesh, rounds: number): void {
  for (let left = rounds * mesh.roster.attention; left > 0; ) left -= serve(mesh, mesh.ffn.nextSync()!);
}

export async function promisedFfnRounds(mesh: Mesh, rounds: number): Promise<void> {
  for (let left = rounds * mesh.roster.attention; left > 0; ) left -= serve(mesh, (await mesh.ffn.next())!);
}

/** One result buffer for all rounds, as every contender has it. */
function outputOf(mesh: Mesh): Tensor {
  return mesh.attention.outputOf(1);
}

function claim(mesh: Mesh): AttentionSlot {
  const slot = mesh.attention.claim({ tokens: mesh.layout.maxTokens });
  bench.fill(mesh.rank, slot.generation, slot.hidden, scalesOf(mesh, slot));
  return slot;
}

function readReply(round: AttentionRound, copy: Uint8Array): TypedArray {
  copy.set(round.repliesSync()[0]!.output as Uint8Array);
  return copy;
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
