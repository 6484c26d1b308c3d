/** Members that agree on who is gone. */
import { describe, expect, it } from 'vitest';
import { Agreement } from '../../../src/mesh/agreement.js';
import type { ControlSession } from '../../../src/mesh/control-client.js';
import { failure, RawClient, until, useMeshes } from './helpers.js';

describe('an agreement', () => {
  const say = (agreement: Agreement, member: number, without: number[] = []): void =>
    agreement.propose(member, { turn: 10 + member, without });

  it('is there when all have spoken', () => {
    const agreement = new Agreement();
    expect(agreement.settle([0, 1, 2])).toBeUndefined();
    say(agreement, 2);
    say(agreement, 0);
    expect(agreement.settle([0, 1, 2])).toBeUndefined();
    say(agreement, 1);
    expect(agreement.settle([0, 1, 2])).toEqual({
      expelled: [],
      told: new Map([
        [0, 10],
        [1, 11],
        [2, 12],
      ]),
    });
    expect(agreement.settle([0, 1, 2])).toBeUndefined();
  });

  it('waits for nobody who is suspected, or has departed', () => {
    const agreement = new Agreement();
    say(agreement, 0, [3, 1]);
    say(agreement, 2);
    expect(agreement.settle([0, 1, 2, 4])).toBeUndefined();
    agreement.departed(4);
    expect(agreement.settle([0, 1, 2])).toEqual({
      expelled: [1],
      told: new Map([
        [0, 10],
        [2, 12],
      ]),
    });
  });

  it('believes who speaks first of two who suspect each other', () => {
    const agreement = new Agreement();
    say(agreement, 1, [0]);
    say(agreement, 0, [1, 2]);
    say(agreement, 2);
    expect(agreement.settle([0, 1, 2])).toEqual({
      expelled: [0],
      told: new Map([
        [1, 11],
        [2, 12],
      ]),
    });
  });

  it('is about others only, and what was said last counts', () => {
    const agreement = new Agreement();
    say(agreement, 0, [0, 1]);
    agreement.propose(0, { turn: 50, without: [] });
    say(agreement, 1);
    expect(agreement.settle([0, 1])).toEqual({
      expelled: [],
      told: new Map([
        [0, 50],
        [1, 11],
      ]),
    });
  });
});

describe('the members of a mesh', () => {
  const { start, full } = useMeshes();
  const agree = (session: ControlSession, without: number[] = [], deadlineMs = 5000): Promise<number> =>
    session.agree(without, { deadlineMs });

  it('are told the same', async () => {
    const sessions = await full(await start(2, 2), 2, 2);
    expect(await Promise.all(sessions.map((session) => agree(session)))).toEqual([1, 1, 1, 1]);
    await sessions[3]!.leave();
    const left = sessions.slice(0, 3);
    expect(await Promise.all(left.map((session) => agree(session)))).toEqual([2, 2, 2]);
    for (const session of left) expect(session.departed.map(({ member }) => member)).toHaveLength(1);
  });

  it('wait for one who dies meanwhile no longer', async () => {
    const sessions = await full(await start(1, 2), 1, 2);
    const [first, second, third] = sessions;
    const waiting = [agree(first!), agree(second!)];
    await third!.leave();
    expect(await Promise.all(waiting)).toEqual([2, 2]);
  });

  it('expel one who does not answer, and it learns why', async () => {
    const sessions = await full(await start(2, 1), 2, 1);
    const [stopped, ...others] = sessions.sort((a, b) => a.member - b.member);
    const lost: string[] = [];
    stopped!.onCoordinatorLost((error) => lost.push(error.message));
    expect(await Promise.all(others.map((session) => agree(session, [0])))).toEqual([2, 2]);
    for (const session of others)
      expect(session.departed).toMatchObject([{ member: 0, role: 'attention', rank: 0, reason: 'lost' }]);
    await until('word of it', () => lost.length > 0);
    expect(lost[0]).toContain('agreed to go on without');
    await failure(agree(stopped!), 'WEFT_STATE');
  });

  it('wait until a deadline, or a signal, and may ask again', async () => {
    const sessions = await full(await start(1, 1), 1, 1);
    const [one, other] = sessions;
    const late = await failure(agree(one!, [], 40), 'WEFT_DEADLINE');
    expect(late.phase).toBe('agree');
    const controller = new AbortController();
    const waiting = one!.agree([], { deadlineMs: 5000, signal: controller.signal });
    await failure(agree(one!), 'WEFT_STATE');
    controller.abort();
    await failure(waiting, 'WEFT_ABORTED');
    expect(await Promise.all([agree(one!), agree(other!)])).toEqual([1, 1]);
  });

  it('are not bound by what they gave up', async () => {
    const [one, two, three] = (await full(await start(2, 1), 2, 1)).sort((a, b) => a.member - b.member);
    await failure(agree(one!, [1], 40), 'WEFT_DEADLINE');
    const aborted = AbortSignal.abort();
    await failure(one!.agree([1], { deadlineMs: 5000, signal: aborted }), 'WEFT_ABORTED');
    const [second, third] = [agree(two!), agree(three!)];
    await failure(agree(two!), 'WEFT_STATE');
    expect(await Promise.all([agree(one!), second, third])).toEqual([1, 1, 1]);
    expect(two!.departed).toEqual([]);
  });

  it('have nothing to agree on before they are complete', async () => {
    const coordinator = await start(1, 1);
    const client = new RawClient(coordinator.url);
    await client.join(coordinator.token);
    await client.get('accepted');
    client.send({ type: 'agree', turn: 1, without: [] });
    expect(await client.get('refused')).toMatchObject({ code: 'WEFT_STATE' });
    await client.end();
  });
});
