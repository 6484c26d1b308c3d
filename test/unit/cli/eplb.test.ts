import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readLoads, readPlan } from '../../../src/cli/eplb-loads.js';
import { picture } from '../../../src/cli/eplb-picture.js';
import { balanceOf } from '../../../src/expert/balance.js';
import { replicaCounts } from '../../../src/expert/placement.js';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'weft-eplb-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function file(text: string): string {
  const path = join(folder, 'loads');
  writeFileSync(path, text);
  return path;
}

describe('readLoads', () => {
  const two = [
    [1, 2, 3],
    [4, 5.5, 0],
  ];
  it.each([
    ['JSON', '[[1,2,3],[4,5.5,0]]', two],
    ['JSON, one layer', ' [1, 2, 3]', [[1, 2, 3]]],
    ['JSON, an object', '{"model": "x", "loads": [[1,2,3],[4,5.5,0]]}', two],
    ['CSV', '1,2,3\n4,5.5,0\n', two],
    [
      'CSV with a head, a comment and blanks',
      '# of today\nexpert 0, expert 1, expert 2\n\n1, 2, 3\n4, 5.5, 0',
      two,
    ],
    ['CSV, long', 'load,Layer,expert\n3,0,2\n1,0,0\n2,0,1\n4,1,0\n5,1,1\n0.5,1,1', two],
  ])('%s', (_, text, loads) => {
    expect(readLoads(file(text))).toEqual(loads);
  });

  it.each([
    ['', /no line of numbers/],
    ['expert 0,expert 1', /no line of numbers/],
    ['1,2\n3', /2 loads in layer 0 and 1 in layer 1/],
    ['[[1,2],[3]]', /2 loads in layer 0 and 1 in layer 1/],
    ['1,x', /numbers, 0 or more/],
    ['1,2,3,x\n4,5,6,7', /numbers, 0 or more/],
    ['layer,e0,e1\n0,5,5', /layer, expert and load, or none/],
    ['1,2\n1,-2', /-2/],
    ['1,2\n1,', /numbers, 0 or more/],
    ['[1, -2]', /loads: JSON/],
    ['[[1, 2]', /loads: JSON/],
    ['[]', /loads: JSON/],
    ['layer,expert,load\n0,1', /0,1/],
    ['layer,expert,load\n0,1.5,2', /0,1.5,2/],
    ['"1,2', /loads: JSON/],
  ])('refuses %j', (text, message) => {
    expect(() => readLoads(file(text))).toThrow(message);
  });

  it('says which file is not there', () => {
    const path = join(folder, 'none');
    expect(() => readLoads(path)).toThrow(path);
  });
});

describe('readPlan', () => {
  it('takes what was printed, and nothing else', () => {
    expect(
      readPlan(file('{"experts": 2, "nodes": 1, "groups": 2, "layers": [{"slots": [[0], [1]]}], "gpus": 2}')),
    ).toEqual({
      experts: 2,
      nodes: 1,
      groups: 2,
      layers: [{ slots: [[0], [1]] }],
    });
    expect(() => readPlan(file('[[1,2]]'))).toThrow(/weft eplb --json/);
    expect(() => readPlan(file('{"experts": 2, "nodes": 1, "groups": 1, "layers": []}'))).toThrow(/layers/);
  });
});

describe('the picture', () => {
  it('has bars in proportion, the mean, nodes and experts', () => {
    const placement = { experts: 3, slots: [[0, 1], [0], [2], [1]] };
    const lines = picture(placement, balanceOf(placement, [40, 40, 10], 2), replicaCounts(placement)).split(
      '\n',
    );
    expect(lines).toHaveLength(5);
    expect(lines[0]).toContain('| mean 22.5');
    expect(lines[1]).toMatch(/^node 0 {2}gpu 0 {2}█{40} {2}40 +0 1$/);
    expect(lines[2]).toMatch(/^ +gpu 1 {2}█{20} {2}\|/);
    expect(lines[3]).toMatch(/^node 1 {2}gpu 2 {2}█{10} +\| +10 +2$/);
  });

  it('draws nothing of nothing', () => {
    const placement = { experts: 1, slots: [[0]] };
    expect(picture(placement, balanceOf(placement, [0]), [1])).toContain('gpu 0');
  });
});
