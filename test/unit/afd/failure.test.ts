import { describe, expect, it } from 'vitest';
import { failure, fromNative } from '../../../src/afd/failure.js';
import { Code } from '../../../src/native.js';

const peer = { role: 'ffn', rank: 3 } as const;

describe('a native code as an error', () => {
  it.each([
    ['peerLost', 'WEFT_PEER_LOST', 'combine: ffn 3 is lost'],
    ['peerClosed', 'WEFT_PEER_CLOSED', 'combine: ffn 3 has left the mesh'],
    ['protocol', 'WEFT_PROTOCOL', 'combine: ffn 3 broke the protocol'],
    ['closed', 'WEFT_CLOSED', 'combine: this mesh is closed'],
    ['aborted', 'WEFT_ABORTED', 'the combine was aborted by the caller'],
    ['slotBusy', 'WEFT_SLOT_BUSY', 'combine: too many operations'],
    ['state', 'WEFT_STATE', 'combine: the call does not fit'],
    ['system', 'WEFT_SYSTEM', 'combine failed'],
  ] as const)('%s', (name, code, text) => {
    const error = failure(Code[name], { phase: 'combine', peer, details: { generation: 5 } });
    expect(error).toMatchObject({ code, phase: 'combine', peer, details: { generation: 5 } });
    expect(error.message).toContain(text);
  });

  it('a deadline names who was waited for, and one of them as the peer', () => {
    const other = { role: 'ffn', rank: 0 } as const;
    const one = failure(Code.deadline, { phase: 'combine', waitingFor: [peer], deadlineMs: 50 });
    expect(one).toMatchObject({ code: 'WEFT_DEADLINE', peer, details: { waitingFor: [peer] } });
    expect(one.message).toContain('no answer from ffn 3 within 50 ms');
    const two = failure(Code.deadline, { phase: 'collect', waitingFor: [other, peer], deadlineMs: 50 });
    expect(two.peer).toBeUndefined();
    expect(two.message).toContain('ffn 0, ffn 3');
    expect(failure(Code.deadline, { phase: 'collect', waitingFor: [], deadlineMs: 1 }).message).toContain(
      'a peer',
    );
  });

  it('every code but ok and again has an error code of its own', () => {
    const codes = Object.values(Code).filter((code) => code !== Code.ok && code !== Code.again);
    const texts = codes.map((code) => failure(code, { phase: 'claim' }).code);
    expect(new Set(texts).size).toBe(codes.length);
  });
});

describe('an error of a native set-up call', () => {
  it('gets code, phase, peer and errno', () => {
    const thrown = Object.assign(new Error('connect'), {
      weft: Code.unavailable,
      phase: 1,
      peer: 4,
      errno: 111,
    });
    expect(fromNative(thrown, (member) => ({ role: 'ffn', rank: member - 1 }))).toMatchObject({
      code: 'WEFT_UNAVAILABLE',
      phase: 'connect',
      peer,
      message: 'ffn 3: connect (errno 111)',
      details: { errno: 111 },
    });
    const nobody = Object.assign(new Error('socket'), { weft: Code.system, phase: 0, peer: -1, errno: 0 });
    expect(fromNative(nobody, () => peer)).toMatchObject({ code: 'WEFT_SYSTEM', message: 'socket' });
  });

  it('stays as it is when it is none', () => {
    for (const thrown of [new Error('x'), 'text', 7, undefined, null])
      expect(fromNative(thrown, () => peer)).toBe(thrown);
  });
});
