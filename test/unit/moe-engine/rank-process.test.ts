import { describe, expect, it } from 'vitest';
import type { RankJob } from '../../../examples/moe-engine/job.js';
import { RankProcess } from '../../../examples/moe-engine/rank-process.js';

function start(behaviour: string, onNote: (text: string) => void = () => {}): RankProcess<unknown> {
  return new RankProcess({
    name: 'ffn 1',
    program: new URL('./rank.fixture.mjs', import.meta.url),
    job: { weights: behaviour } as RankJob,
    token: 'secret',
    graceMs: 300,
    onNote,
  });
}

describe('a rank process', () => {
  it('hands over its notes and its report', async () => {
    const notes: string[] = [];
    expect(await start('report', (text) => notes.push(text)).report).toEqual(Float64Array.of(1, 2));
    expect(notes).toEqual(['token is secret']);
  });

  it('that fails is named, with the code of its error', async () => {
    const failure = start('failure').report;
    await expect(failure).rejects.toThrow('ffn 1 failed (WEFT_PEER_LOST): gone');
    await expect(failure).rejects.toMatchObject({ code: 'WEFT_PEER_LOST', isConsequence: true });
  });

  it('that dies is named, with how it ended', async () => {
    await expect(start('crash').report).rejects.toThrow('ffn 1 failed: exit code 3 before its report');
  });

  it('that stays after its report is killed', async () => {
    await expect(start('lingering').report).rejects.toThrow('no end within 300 ms after its report');
  });

  it('is stopped, by force when it does not listen', async () => {
    let rank: RankProcess<unknown> | undefined;
    await new Promise<string>((ready) => {
      rank = start('stubborn', ready);
    });
    await rank!.stop();
    await expect(rank!.report).rejects.toThrow('no end within 300 ms before its report');
    await rank!.stop();
  });
});
