import { InvalidArgumentError } from 'commander';
import { describe, expect, it } from 'vitest';
import { byteText, columns } from '../../../src/cli/output.js';
import { wholeNumber } from '../../../src/cli/whole-number.js';

describe('columns', () => {
  it('aligns without borders and without blanks at the ends of lines', () => {
    expect(
      columns([
        ['a', 'long', ''],
        ['bcd', 'x', 'y'],
      ]),
    ).toBe('a    long\nbcd  x     y');
  });

  it('does not count colours as width', () => {
    const lines = columns([
      ['\u001b[31mred\u001b[39m', 'x'],
      ['plain', 'y'],
    ]).split('\n');
    expect(lines[0]).toBe('\u001b[31mred\u001b[39m    x');
    expect(lines[1]).toBe('plain  y');
  });
});

describe('byteText', () => {
  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1 KiB'],
    [8 * 1024 ** 2, '8 MiB'],
    [25_264_513_024, '23.5 GiB'],
    [4096 * 1024 ** 4, '4096 TiB'],
  ])('%d is %s', (bytes, text) => {
    expect(byteText(bytes)).toBe(text);
  });
});

describe('wholeNumber', () => {
  it('takes whole numbers of its range only', () => {
    const parse = wholeNumber(0, 10);
    expect(parse('0')).toBe(0);
    expect(parse('10')).toBe(10);
    for (const text of ['', ' ', '11', '-1', '1.5', 'x', '1e9', 'Infinity'])
      expect(() => parse(text), text).toThrow(InvalidArgumentError);
  });
});
