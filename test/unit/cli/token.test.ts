import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { givenToken } from '../../../src/cli/token.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weft-token-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function file(text: string, mode = 0o600): string {
  const path = join(folder, 'token');
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

describe('givenToken', () => {
  const quiet = (): void => {};

  it('is undefined when none is given', () => {
    expect(givenToken(undefined, {}, quiet)).toBeUndefined();
  });

  it('comes from WEFT_TOKEN', () => {
    expect(givenToken(undefined, { WEFT_TOKEN: 'abc' }, quiet)).toEqual({ token: 'abc', from: 'WEFT_TOKEN' });
  });

  it('comes from a file before WEFT_TOKEN, without its line end', () => {
    const path = file('secret\n');
    expect(givenToken(path, { WEFT_TOKEN: 'abc' }, quiet)).toEqual({ token: 'secret', from: path });
  });

  it('warns of a file that others can read', () => {
    const warn = vi.fn();
    givenToken(file('secret'), {}, warn);
    expect(warn).not.toHaveBeenCalled();
    givenToken(file('secret', 0o644), {}, warn);
    expect(warn).toHaveBeenCalledWith(expect.stringContaining('chmod 600'));
  });

  it('refuses an empty one, and a file that is not there', () => {
    expect(() => givenToken(undefined, { WEFT_TOKEN: '' }, quiet)).toThrow(/WEFT_TOKEN must be a token/);
    expect(() => givenToken(file('\n'), {}, quiet)).toThrow(/--token-file must be a token/);
    expect(() => givenToken(join(folder, 'none'), {}, quiet)).toThrow(
      expect.objectContaining({ code: 'WEFT_SYSTEM' }),
    );
  });
});
