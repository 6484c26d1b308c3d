import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { channelMeshId } from '../../../src/mesh/channel.js';
import { MAX_CHANNELS } from '../../../src/mesh/limits.js';
import { config, failure, join, RawClient, until, useMeshes } from './helpers.js';

const { start, enter, keep } = useMeshes();
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe('channels of a coordinator', () => {
  it('are meshes of their own: ranks, epoch, id, configuration', async () => {
    const coordinator = await start(1, 1);
    const events: string[] = [];
    coordinator.on('joined', ({ role, channel }) => events.push(`${role} ${channel ?? ''}`));
    coordinator.on('complete', ({ channel, epoch }) => events.push(`complete ${channel ?? ''} ${epoch}`));
    const sessions = await Promise.all(
      ['', 'a', 'b'].map(async (channel) => {
        const agreed = { config: { ...config, name: channel }, channel };
        const attention = await enter(coordinator, 'attention', agreed);
        const ffn = await enter(coordinator, 'ffn', agreed);
        expect((await attention.roster()).members).toHaveLength(2);
        expect(await ffn.roster()).toEqual(await attention.roster());
        return [attention, ffn] as const;
      }),
    );
    const ids = sessions.map(([{ meshId }]) => hex(meshId));
    expect(ids[0]).toBe(hex(coordinator.meshId));
    expect(new Set(ids).size).toBe(3);
    const digest = createHash('sha256').update(coordinator.meshId).update('a').digest();
    expect(ids[1]).toBe(hex(digest.subarray(0, 16)));
    expect(hex(channelMeshId(coordinator.meshId, 'b'))).toBe(ids[2]);
    expect(events.filter((event) => event.startsWith('complete')).sort()).toEqual([
      'complete  1',
      'complete a 1',
      'complete b 1',
    ]);

    // Who leaves one is still there in the others.
    await sessions[1]![0].close();
    await until('departure', () => sessions[1]![1].departed.length === 1);
    expect(sessions.map(([, ffn]) => ffn.epoch)).toEqual([1, 2, 1]);
    expect(coordinator.roster.members).toHaveLength(2);
  });

  it('one that is complete takes no more members, another name does', async () => {
    const coordinator = await start(1, 1);
    for (const channel of ['first', 'second']) {
      await enter(coordinator, 'attention', { channel });
      await enter(coordinator, 'ffn', { channel });
      const error = await failure(join(coordinator, 'ffn', { channel }), 'WEFT_STATE');
      expect(error.message).toContain('takes no new members');
    }
  });

  it('a configuration that differs is refused within a channel', async () => {
    const coordinator = await start(2, 1);
    await enter(coordinator, 'attention', { channel: 'a' });
    const other = { config: { ...config, hidden: 512 } };
    const error = await failure(
      join(coordinator, 'attention', { channel: 'a', ...other }),
      'WEFT_CONFIG_MISMATCH',
    );
    expect(error.details?.fields).toEqual([{ field: 'hidden', expected: 256, given: 512 }]);
    await enter(coordinator, 'attention', { channel: 'b', ...other });
  });

  it('there are at most 64, and those left before they were complete do not count', async () => {
    const coordinator = await start(1, 1);
    const named = (i: number) => ({ channel: `${i}` });
    for (let i = 1; i < MAX_CHANNELS; i += 1) await enter(coordinator, 'ffn', named(i));
    const error = await failure(join(coordinator, 'ffn', named(MAX_CHANNELS)), 'WEFT_STATE');
    expect(error.message).toContain('64 channels');
    // '' is one of them, and always there.
    const last = await enter(coordinator, 'attention');
    await last.close();
    // A refused join makes no channel, a departure gives one back.
    const other = await start(1, 1);
    for (let i = 0; i < 2 * MAX_CHANNELS; i += 1) {
      await failure(join(other, 'ffn', { rank: 7, ...named(i) }), 'WEFT_INVALID_ARGUMENT');
    }
    for (let i = 0; i < MAX_CHANNELS + 2; i += 1) await (await join(other, 'ffn', named(i))).close();
  });

  it('the join deadline counts for each channel', async () => {
    const coordinator = await start(1, 1, { joinDeadlineMs: 150 });
    const late = keep(await join(coordinator, 'ffn', { channel: 'late' }));
    const full = [
      await enter(coordinator, 'ffn', { channel: 'full' }),
      await enter(coordinator, 'attention', { channel: 'full' }),
    ];
    const error = await failure(late.roster(), 'WEFT_DEADLINE');
    expect(error.details?.missing).toMatchObject({ attention: [0], ffn: [] });
    for (const session of full) expect((await session.roster()).epoch).toBe(1);
  });

  it('a name is a string of at most 64 characters, at both ends', async () => {
    const coordinator = await start(1, 1);
    const long = 'x'.repeat(65);
    await failure(join(coordinator, 'ffn', { channel: long }), 'WEFT_INVALID_ARGUMENT');
    await failure(join(coordinator, 'ffn', { channel: 7 as never }), 'WEFT_INVALID_ARGUMENT');
    const raw = new RawClient(coordinator.url);
    await raw.join(coordinator.token, { channel: long });
    expect(await raw.get('refused')).toMatchObject({ code: 'WEFT_PROTOCOL' });
    await enter(coordinator, 'ffn', { channel: 'x'.repeat(64) });
  });
});
