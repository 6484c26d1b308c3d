/** Processes that wait leave the cores to others. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { workload } from 'tensorweft/testing';
import { describe, expect, it } from 'vitest';
import { useClusters } from '../support/cluster.js';
import type { Member } from '../support/member.js';
import { betweenProcesses } from '../support/transports.js';

const { open } = useClusters();
const scenario: workload.Scenario = { attention: 2, ffn: 2, rounds: 2, layout: { hidden: 16, maxTokens: 4 } };
const MEASURED_MS = 3000;
/** Of a core. What is expected is less than one percent; other tests run at the same time. */
const ALLOWED = 0.03;

/** Processor time of a process so far, in milliseconds; the kernel counts in steps of 10. */
function cpuMs({ pid }: Member): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

describe.each(betweenProcesses)('over %s', (transport) => {
  it('4 processes that wait, 2 of them blocking', async () => {
    const cluster = await open(scenario, transport);
    const { attention, ffn, members } = cluster;
    // Round 1 is collected and not replied to; everybody waits for somebody else.
    await Promise.all(attention.map((member) => member.tell('dispatch', 1)));
    await Promise.all(ffn.map((member) => member.tell('collect', { gather: 'all' })));
    const deadlineMs = 1000 + MEASURED_MS + 500;
    const waits = members.map((member, i) =>
      i < attention.length
        ? member.tell('combine', { generation: 1, deadlineMs, blocking: i === 0 })
        : member.tell('collect', { deadlineMs, blocking: i === attention.length }),
    );
    await sleep(1000);
    const before = members.map(cpuMs);
    const start = performance.now();
    await sleep(MEASURED_MS);
    const ms = performance.now() - start;
    const shares = members.map((member, i) => (cpuMs(member) - before[i]!) / ms);
    const percent = shares.reduce((sum, share) => sum + 100 * share, 0);
    console.log(`${transport}: all together ${percent.toFixed(2)} % of a core`);
    for (const [i, share] of shares.entries()) expect(share, members[i]!.name).toBeLessThan(ALLOWED);
    for (const wait of waits) await expect(wait).rejects.toThrow(/within/);
  });
});
