import { readFileSync } from 'node:fs';
import { rebalanceExperts } from 'tensorweft';
import { describe, expect, it } from 'vitest';

interface Case {
  name: string;
  loads: number[][];
  replicas: number;
  groups: number;
  nodes: number;
  gpus: number;
  phy2log: number[][];
  log2phy: number[][][];
  logcnt: number[][];
}
const { cases } = JSON.parse(readFileSync(new URL('vectors/eplb.json', import.meta.url), 'utf8')) as {
  cases: Case[];
};

describe('EPLB', () => {
  it.each(cases)('$name', ({ loads, replicas, groups, nodes, gpus, ...expected }) => {
    const { phy2log, log2phy, logcnt } = rebalanceExperts(loads, replicas, groups, nodes, gpus);
    expect(phy2log).toEqual(expected.phy2log);
    expect(logcnt).toEqual(expected.logcnt);
    expect(log2phy).toEqual(expected.log2phy);
  });
});
