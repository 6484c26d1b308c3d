import { describe, expect, it } from 'vitest';

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}
interface Tally extends Counts {
  failures: string[];
  reasons: string[];
  check(title: string, work: () => unknown): Promise<boolean>;
}

const lib = async (name: string): Promise<unknown> =>
  import(new URL(`../../../scripts/lib/${name}.mjs`, import.meta.url).href);

const { Tally } = (await lib('stage')) as { Tally: new () => Tally };
const { Unavailable } = (await lib('report-failure')) as { Unavailable: new (text: string) => Error };
const { counts, summary } = (await lib('summary')) as {
  counts(tally: Counts): string;
  summary(stages: { name: string; tally: Counts; ms: number }[]): string;
};

describe('the end of npm test', () => {
  it('closes with one line of totals', () => {
    const stage = (name: string, passed: number, failed: number, skipped: number) => ({
      name,
      tally: { passed, failed, skipped },
      ms: 1200,
    });
    expect(summary([stage('a', 2, 0, 0), stage('b', 10, 1, 0)])).toBe(
      [
        '',
        'stage  passed  failed  skipped   time',
        'a           2       0        0  1.2 s',
        'b          10       1        0  1.2 s',
        '',
        '12 passed, 1 failed',
      ].join('\n'),
    );
    expect(
      summary([stage('a', 2, 0, 3)])
        .split('\n')
        .at(-1),
    ).toBe('2 passed, 0 failed, 3 skipped');
  });

  it('shows what is not zero for a stage', () => {
    expect(counts({ passed: 3, failed: 0, skipped: 0 })).toBe('3 passed');
    expect(counts({ passed: 3, failed: 1, skipped: 2 })).toBe('3 passed, 1 failed, 2 skipped');
  });
});

describe('Tally', () => {
  it('tells failures from what this machine cannot run', async () => {
    const tally = new Tally();
    expect(await tally.check('a', () => {})).toBe(true);
    expect(await tally.check('b', () => Promise.reject(new Error('boom')))).toBe(false);
    expect(
      await tally.check('c', () => {
        throw new Unavailable('no compiler');
      }),
    ).toBe(false);
    expect(tally).toMatchObject({ passed: 1, failed: 1, skipped: 1, reasons: ['c: no compiler'] });
    expect(tally.failures[0]).toContain('b: Error: boom');
  });
});
