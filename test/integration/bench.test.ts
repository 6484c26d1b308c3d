/** Benchmarks in small, for what they say; speed is nobody's business here. */
import { describe, expect, it } from 'vitest';
import type { EpReport } from '../../src/bench/ep/report.js';
import { betweenProcesses } from '../support/transports.js';
import { weft } from './weft.js';

const small = ['--tokens', '5', '--hidden', '384', '--experts', '10', '--top-k', '3', '--iterations', '12'];

async function ep(...options: string[]): Promise<EpReport> {
  const { code, stdout, stderr } = await weft(['bench', 'ep', ...small, '--json', ...options]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout) as EpReport;
}

describe('weft bench ep', () => {
  it.each(betweenProcesses.map((transport, i) => ({ transport, ranks: 2 + (i % 2) })))(
    'over $transport with $ranks ranks: every byte is right',
    async ({ transport, ranks }) => {
      const report = await ep('--transport', transport, '--ranks', `${ranks}`, '--routing', 'zipf');
      expect(report).toMatchObject({ workload: 'ep', transport, ranks, wrong: 0, iterations: 12 });
      for (const phase of [report.dispatch, report.combine, report.roundTrip, report.index]) {
        expect(phase.latencyUs.p50).toBeGreaterThan(0);
        expect(phase.ratioToFloor).toBeCloseTo(phase.latencyUs.p50 / phase.floorUs.p50, 2);
      }
      // Rows of FP8 with 3 scales and 3 choices, each at most once for another rank.
      expect(report.wireBytes.dispatch).toBeLessThanOrEqual(5 * (ranks - 1) * (384 + 12 + 24));
      expect(report.wireBytes.combine).toBeLessThanOrEqual(15 * 768);
      if (transport === 'tcp')
        expect(report.wireBytes.sent).toBeGreaterThan(report.wireBytes.dispatch + report.wireBytes.combine);
      expect(report.memoryBytes).toBeGreaterThan(0);
      expect(report.quantise!.ratioToCopy).toBeGreaterThan(0);
    },
  );

  it('takes rows of bf16, and choices that crowd', async () => {
    const report = await ep('--dtype', 'bf16', '--routing', 'hot');
    expect(report).toMatchObject({ dtype: 'bf16', routing: 'hot', wrong: 0 });
    expect(report.quantise).toBeUndefined();
  });

  it('says what is wrong with its options', async () => {
    for (const options of [
      ['--routing', 'cold'],
      ['--dtype', 'fp4'],
      ['--ranks', '0'],
      ['--preset', 'x'],
      ['--top-k', '11'],
    ]) {
      const { code, stdout, stderr } = await weft(['bench', 'ep', ...small, ...options]);
      expect({ code, stdout }, options.join(' ')).toEqual({ code: 1, stdout: '' });
      expect(stderr).toMatch(/^weft: WEFT_INVALID_ARGUMENT: /);
    }
  });
});
