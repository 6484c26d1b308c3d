import { describe, expect, it } from 'vitest';
import { errorLine } from '../../../src/cli/error-line.js';
import { WeftError } from '../../../src/errors.js';

describe('errorLine', () => {
  it('is one line with code, message and hint', () => {
    const line = errorLine(new WeftError('WEFT_UNAVAILABLE', 'not loaded. Tried:\n  a\n  b'));
    expect(line).toMatch(/^weft: WEFT_UNAVAILABLE: not loaded\. Tried: a b; hint: .*doctor/);
    expect(line).not.toContain('\n');
  });

  it('names the peer, once', () => {
    const peer = { role: 'ffn', rank: 3 } as const;
    expect(errorLine(new WeftError('WEFT_PEER_LOST', 'gone', { peer }))).toContain('gone (ffn 3)');
    expect(errorLine(new WeftError('WEFT_PEER_LOST', 'ffn 3 is gone', { peer }))).not.toContain('(ffn 3)');
  });

  it('has no hint where the message says it all', () => {
    expect(errorLine(new WeftError('WEFT_STATE', 'x'))).toBe('weft: WEFT_STATE: x');
  });

  it('shows the stack of what is not ours', () => {
    expect(errorLine(new TypeError('boom'))).toMatch(/^weft: TypeError: boom\n\s+at /);
    expect(errorLine('text')).toBe('weft: text');
  });
});
