/** A tensor that a combine writes to is not freed meanwhile; when the combine has ended, however, nothing writes to it. */
import type { Mesh, Tensor } from 'tensorweft';
import { openRig, rejects, type Scenario, workload } from 'tensorweft/testing';
import { describe, expect, it } from 'vitest';
import { everyTransport } from '../support/transports.js';

const { claimRound, factsOf, fillRows, writeOutput } = workload;
const layout = { hidden: 48, maxTokens: 6, depth: 2 };
const scenario: Scenario = { attention: 1, ffn: 1, rounds: 2, layout };
const facts = factsOf(scenario);
const OTHERS = 77;

describe.each(everyTransport)('over %s', (transport) => {
  it.each([
    ['aborted', 'WEFT_ABORTED'],
    ['late', 'WEFT_DEADLINE'],
    ['late, blocking', 'WEFT_DEADLINE'],
  ] as const)('%s: its memory is free for others, and the round goes elsewhere', async (how, code) => {
    await using rig = await openRig(scenario, { transports: [transport] });
    const [mesh, ffn] = [rig.attention[0]!, rig.ffn[0]!];
    const dispatch = (generation: number) => {
      const slot = claimRound(mesh.attention, facts, 0, generation);
      fillRows(slot, facts, 0, 0, slot.tokens);
      return slot.dispatch();
    };
    const first = dispatch(1); // of no rows
    (await ffn.ffn.next())!.reply();
    await first.combine();
    const round = dispatch(2);
    const part = (await ffn.ffn.next())!.parts[0]!;
    writeOutput({ facts, ffn: 1, rank: 0 }, part, 0, part.rows);
    part.publish(2);

    const into = mesh.tensor('f32', [layout.maxTokens, layout.hidden]);
    const busy = async (): Promise<void> => {
      const error = await rejects(() => mesh.free(into), 'WEFT_STATE', { phase: 'combine' });
      expect(error.message).toContain('combine');
    };
    if (how === 'aborted') {
      const controller = new AbortController();
      const combining = rejects(round.combine({ into, signal: controller.signal }), code, {
        phase: 'combine',
      });
      await busy();
      controller.abort();
      await combining;
    } else if (how === 'late') {
      const combining = rejects(round.combine({ into, deadlineMs: 50 }), code, { phase: 'combine' });
      await busy();
      await combining;
    } else await rejects(() => round.combineSync({ into, deadlineMs: 50 }), code, { phase: 'combine' });

    mesh.free(into);
    const other = mesh.tensor('f32', [layout.maxTokens, layout.hidden]);
    expect(other.data.byteOffset).toBe(into.data.byteOffset);
    other.data.fill(OTHERS);
    await rejects(round.combine({ into }), 'WEFT_FOREIGN_BUFFER', { phase: 'combine' });
    const combining = round.combine();
    part.reply();
    workload.checkResult(mesh, scenario, 2, await combining);
    expect(other.data.every((x) => x === OTHERS)).toBe(true);
    // And it can be what a combine writes to, like any other.
    const last = dispatch(3);
    (await ffn.ffn.next())!.reply();
    expect((await last.combine({ into: other })).data.byteOffset).toBe(other.data.byteOffset);
    mesh.free(other);
  });
});

describe('by way of an earlier result in the same memory', () => {
  const small: Scenario = { attention: 1, ffn: 1, rounds: 1, layout: { hidden: 8, maxTokens: 4, depth: 2 } };

  async function resultIn(mesh: Mesh, ffn: Mesh, into: Tensor): Promise<Tensor> {
    const combining = mesh.attention.claim({ tokens: 3 }).dispatch().combine({ into });
    (await ffn.ffn.next())!.reply();
    return combining;
  }

  it('freed memory is not written to, and memory that is written to is not freed', async () => {
    await using rig = await openRig(small, { transports: ['loopback'] });
    const [mesh, ffn] = [rig.attention[0]!, rig.ffn[0]!];
    const into = mesh.tensor('bf16', [4, 8]);
    const result = await resultIn(mesh, ffn, into);
    expect(result.shape).toEqual([3, 8]);
    const again = mesh.attention.claim({ tokens: 3 }).dispatch();
    const combining = again.combine({ into: result });
    await rejects(() => mesh.free(into), 'WEFT_STATE', { phase: 'combine' });
    (await ffn.ffn.next())!.reply();
    await combining;
    mesh.free(into);
    const other = mesh.tensor('bf16', [4, 8]);
    other.data.fill(OTHERS);
    const third = mesh.attention.claim({ tokens: 3 }).dispatch();
    await rejects(third.combine({ into: result }), 'WEFT_FOREIGN_BUFFER');
    (await ffn.ffn.next())!.reply();
    await third.combine();
    expect(other.data.every((value) => value === OTHERS)).toBe(true);
  });

  it("a slot's own result is not given back", async () => {
    await using rig = await openRig(small, { transports: ['loopback'] });
    const [mesh, ffn] = [rig.attention[0]!, rig.ffn[0]!];
    for (const tokens of [3, 4]) {
      const combining = mesh.attention.claim({ tokens }).dispatch().combine();
      (await ffn.ffn.next())!.reply();
      const result = await combining;
      await rejects(() => mesh.free(result), 'WEFT_INVALID_ARGUMENT');
    }
  });
});
