/** Many waits at once, and one after the other. */
import { getEventListeners } from 'node:events';
import type { WeftError } from 'tensorweft';
import { openRig } from 'tensorweft/testing';
import { expect, it } from 'vitest';

const transports = { transports: ['loopback'] } as const;

it('100 rounds in flight: waits that are too many at a time are refused, and may be repeated', async () => {
  const layout = { hidden: 4, maxTokens: 1, depth: 100 };
  await using rig = await openRig({ attention: 1, ffn: 1, layout }, transports);
  const [attention, ffn] = [rig.attention[0]!, rig.ffn[0]!];
  const rounds = Array.from({ length: 100 }, (_, tag) =>
    attention.attention.claim({ tokens: 1, tag }).dispatch(),
  );
  const first = rounds.map((round) =>
    round.combine().catch((error: WeftError) => {
      expect(error).toMatchObject({ code: 'WEFT_SLOT_BUSY', phase: 'combine' });
      return round;
    }),
  );
  for (let tag = 0; tag < 100; tag++) {
    const { parts } = (await ffn.ffn.next())!;
    expect(parts.map((part) => part.tag)).toEqual([tag]);
    parts[0]!.output.fill(tag);
    parts[0]!.reply();
  }
  for (const [tag, ended] of (await Promise.all(first)).entries()) {
    const { data } = 'combine' in ended ? await ended.combine() : ended;
    expect([...data]).toEqual(Array(4).fill(tag));
  }
});

it('a signal that serves for many waits keeps no listeners', async () => {
  await using rig = await openRig({ attention: 1, ffn: 1, layout: { hidden: 4, maxTokens: 1 } }, transports);
  const [attention, ffn] = [rig.attention[0]!, rig.ffn[0]!];
  const { signal } = new AbortController();
  for (let i = 0; i < 200; i++) {
    const collecting = ffn.ffn.next({ signal });
    const combining = attention.attention.claim({ tokens: 1 }).dispatch().combine({ signal });
    (await collecting)!.reply();
    await combining;
  }
  expect(getEventListeners(signal, 'abort')).toEqual([]);
});
