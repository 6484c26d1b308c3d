import type { Command } from 'commander';
import { examine, type NamedFinding } from './doctor/examine.js';
import type { Finding } from './doctor/probe.js';
import { machine } from './machine.js';
import { paint, printJson } from './output.js';
import { wholeNumber } from './whole-number.js';

const COLOURS = { ok: 'green', warn: 'yellow', fail: 'red' } as const;

export function registerDoctor(program: Command): void {
  program
    .command('doctor')
    .description(
      'try what this machine can do, and say how to mend what it cannot; exit status 1 on a failure',
    )
    .option('--ranks <n>', 'ranks that are to run on this host', wholeNumber(1, 1024), 2)
    .option('--json', 'print one JSON object')
    .action(async ({ ranks, json }: { ranks: number; json?: true }) => {
      const findings: NamedFinding[] = [];
      for await (const finding of examine({ machine, ranks })) {
        findings.push(finding);
        if (!json) console.log(findingText(finding));
      }
      const counts = countsOf(findings);
      if (json) printJson({ ...counts, findings });
      else console.log(`\n${counts.ok} ok, ${counts.warn} to improve, ${counts.fail} failed`);
      if (counts.fail > 0) process.exitCode = 1;
    });
}

export function findingText({ status, name, text, fix }: NamedFinding): string {
  const line = `${paint(COLOURS[status], status.padEnd(4))}  ${name.padEnd(18)}  ${text}`;
  return fix === undefined ? line : `${line}\n${' '.repeat(26)}fix: ${fix}`;
}

function countsOf(findings: readonly NamedFinding[]): Record<Finding['status'], number> {
  const counts = { ok: 0, warn: 0, fail: 0 };
  for (const { status } of findings) counts[status]++;
  return counts;
}
