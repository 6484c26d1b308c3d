import { describe, expect, it } from 'vitest';
import { endpoint, failure, join, RawClient, until, useMeshes } from './helpers.js';

const { start, enter, full } = useMeshes();

describe('a mesh of 3 x 2', () => {
  it('gives everybody the same roster at epoch 1', async () => {
    const coordinator = await start(3, 2);
    const seen: string[] = [];
    coordinator.on('joined', ({ role, rank }) => seen.push(`${role} ${rank}`));
    coordinator.on('complete', ({ epoch }) => seen.push(`epoch ${epoch}`));
    expect(coordinator.url).toMatch(/^ws:\/\/127\.0\.0\.1:\d+$/);
    expect(coordinator.roster).toMatchObject({ epoch: 0, attention: 3, ffn: 2, members: [] });

    const sessions = await full(coordinator, 3, 2);
    const rosters = await Promise.all(sessions.map((session) => session.roster()));
    for (const [i, roster] of rosters.entries()) {
      expect(roster).toEqual(rosters[0]);
      const session = sessions[i]!;
      expect(roster).toMatchObject({ epoch: 1, attention: 3, ffn: 2 });
      expect(roster.members[session.member]).toMatchObject({ role: session.role, rank: session.rank });
      expect(Buffer.from(roster.members[session.member]!.nonce).equals(session.nonce)).toBe(true);
      expect(Buffer.from(session.meshId).equals(coordinator.meshId)).toBe(true);
      expect(session).toMatchObject({
        epoch: 1,
        missing: undefined,
        shape: { attention: 3, ffn: 2 },
      });
    }
    expect(rosters[0]!.members.map(({ role, rank }) => `${role} ${rank}`)).toEqual([
      'attention 0',
      'attention 1',
      'attention 2',
      'ffn 0',
      'ffn 1',
    ]);
    expect(rosters[0]!.members[0]!.endpoint).toEqual(endpoint());
    expect(seen).toHaveLength(6);
    expect(seen.at(-1)).toBe('epoch 1');
    expect(new Set(rosters[0]!.members.map(({ nonce }) => Buffer.from(nonce).toString('hex'))).size).toBe(5);
  });

  it('gives the ranks asked for', async () => {
    const coordinator = await start(3, 2);
    const ranks = [2, undefined, 1];
    const got: number[] = [];
    for (const rank of ranks) got.push((await enter(coordinator, 'attention', { rank })).rank);
    expect(got).toEqual([2, 0, 1]);
    expect((await enter(coordinator, 'ffn', { rank: 1 })).member).toBe(4);
  });

  it('carries addresses of transports it does not know', async () => {
    const coordinator = await start(1, 1);
    const own = endpoint();
    own.transports = {
      shm: { socket: '@s' },
      tcp: { host: '::1', port: 9 },
      cuda: { address: Buffer.from([1, 2]), devices: 2 },
    };
    await enter(coordinator, 'attention', { endpoint: own });
    const ffn = await enter(coordinator, 'ffn');
    const { transports } = (await ffn.roster()).members[0]!.endpoint;
    expect(transports).toEqual(own.transports);
  });
});

describe('refusals', () => {
  it('a rank that is taken or out of range, and a member too many', async () => {
    const coordinator = await start(2, 1);
    await enter(coordinator, 'attention', { rank: 1 });
    const taken = await failure(join(coordinator, 'attention', { rank: 1 }), 'WEFT_STATE');
    expect(taken.message).toContain('attention rank 1 is taken; free are: 0');
    const range = await failure(join(coordinator, 'attention', { rank: 2 }), 'WEFT_INVALID_ARGUMENT');
    expect(range.message).toContain('0 to 1');
    await enter(coordinator, 'attention');
    const third = await failure(join(coordinator, 'attention'), 'WEFT_STATE');
    expect(third.message).toContain('all 2 attention ranks');
    await enter(coordinator, 'ffn');
    const late = await failure(join(coordinator, 'ffn'), 'WEFT_STATE');
    expect(late.message).toContain('was completed');
  });

  it('a configuration that differs, with the fields', async () => {
    const coordinator = await start(1, 1);
    await enter(coordinator, 'attention');
    const other = { hidden: 512, maxTokens: 8, experts: { count: 4, topK: 3 }, depth: 2 };
    const error = await failure(join(coordinator, 'ffn', { config: other }), 'WEFT_CONFIG_MISMATCH');
    expect(error.details).toEqual({
      fields: [
        { field: 'hidden', expected: 256, given: 512 },
        { field: 'experts.topK', expected: 2, given: 3 },
        { field: 'depth', given: 2 },
      ],
    });
    expect(error.message).toContain('experts.topK (the mesh has 2, given 3)');
    expect(error.phase).toBe('join');
    await enter(coordinator, 'ffn', {
      config: { experts: { topK: 2, count: 4 }, maxTokens: 8, hidden: 256 },
    });
  });

  it('a configuration that differs, and those who wait for that rank are told', async () => {
    const coordinator = await start(1, 3);
    const attention = await enter(coordinator, 'attention');
    const other = { config: { hidden: 512, maxTokens: 8, experts: { count: 4, topK: 2 } } };
    await failure(join(coordinator, 'ffn', { rank: 1, ...other }), 'WEFT_CONFIG_MISMATCH');
    const late = await failure(attention.roster({ deadlineMs: 300 }), 'WEFT_DEADLINE');
    expect(late.message).toContain(
      "no ffn 0, 1, 2; ffn 1 was turned away: the configuration differs from the mesh's",
    );
    expect(late.message).toContain('hidden (the mesh has 256, given 512)');
    expect(late.details?.turnedAway).toMatchObject({ role: 'ffn', rank: 1 });
    const third = await enter(coordinator, 'ffn', { rank: 2 });
    for (const waits of [attention, third]) {
      const still = await failure(waits.roster({ deadlineMs: 300 }), 'WEFT_DEADLINE');
      expect(still.message).toContain('no ffn 0, 1; ffn 1 was turned away');
    }
    await enter(coordinator, 'ffn', { rank: 1 });
    const came = await failure(attention.roster({ deadlineMs: 300 }), 'WEFT_DEADLINE');
    expect(came.message).toContain('no ffn 0; start the missing ranks');
    await failure(join(coordinator, 'ffn', other), 'WEFT_CONFIG_MISMATCH');
    const unnamed = await failure(attention.roster({ deadlineMs: 300 }), 'WEFT_DEADLINE');
    expect(unnamed.message).toContain('no ffn 0; ffn was turned away');
  });

  it('a wrong token', async () => {
    const coordinator = await start(1, 1, { token: 'right' });
    expect(coordinator.token).toBe('right');
    const error = await failure(
      join({ ...coordinator, url: coordinator.url, token: 'wrong' }, 'ffn'),
      'WEFT_AUTH',
    );
    expect(error.message).toContain('token');
    expect(error.message).not.toContain('right');
    expect(coordinator.roster.members).toEqual([]);
    await enter(coordinator, 'ffn');
  });

  it('another protocol version, said on both sides', async () => {
    const coordinator = await start(1, 1);
    const client = new RawClient(coordinator.url);
    await client.get('challenge');
    client.send({ type: 'prove', protocol: 2, newField: true });
    const refused = await client.get('refused');
    expect(refused.code).toBe('WEFT_PROTOCOL');
    expect(refused.reason).toContain('version 1 and the client 2');
    await client.end();
    expect(client.closed?.code).toBe(1008);
  });

  it('a configuration hash that is not the one of the configuration', async () => {
    const coordinator = await start(1, 1);
    const client = new RawClient(coordinator.url);
    await client.join(coordinator.token, { configHash: Buffer.alloc(32) });
    expect((await client.get('refused')).reason).toContain('configHash');
    await client.end();
  });

  it('an endpoint that is too long for the roster', async () => {
    const coordinator = await start(500, 500);
    const long = endpoint('x'.repeat(2000));
    const error = await failure(join(coordinator, 'ffn', { endpoint: long }), 'WEFT_INVALID_ARGUMENT');
    expect(error.message).toContain('endpoint');
  });

  it('a join without proof, a second join, and text', async () => {
    const coordinator = await start(2, 1);
    const early = new RawClient(coordinator.url);
    await early.get('challenge');
    early.send({ type: 'leave' });
    expect((await early.get('refused')).code).toBe('WEFT_PROTOCOL');

    const twice = new RawClient(coordinator.url);
    await twice.join(coordinator.token);
    await twice.get('accepted');
    await twice.prove(coordinator.token);
    expect((await twice.get('refused')).reason).toContain('out of order');
    await until('its rank is free', () => coordinator.roster.members.length === 0);

    const text = new RawClient(coordinator.url);
    await text.get('challenge');
    text.socket.send('hello');
    expect((await text.get('refused')).reason).toContain('text');
    await Promise.all([early.end(), twice.end(), text.end()]);
  });
});
