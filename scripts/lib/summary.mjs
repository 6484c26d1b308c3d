import { duration } from './progress.mjs';

/** "12 passed", "12 passed, 1 failed, 2 skipped" */
export function counts({ passed, failed, skipped }) {
  return [`${passed} passed`, failed > 0 && `${failed} failed`, skipped > 0 && `${skipped} skipped`]
    .filter(Boolean)
    .join(', ');
}

/** The table of all stages, and the closing line `N passed, N failed[, N skipped]`. */
export function summary(stages) {
  const rows = stages.map(({ name, tally, ms }) => [
    name,
    String(tally.passed),
    String(tally.failed),
    String(tally.skipped),
    duration(ms),
  ]);
  const header = ['stage', 'passed', 'failed', 'skipped', 'time'];
  const widths = header.map((title, i) =>
    Math.max(...[header, ...rows].map((row) => row[i].length), title.length),
  );
  const line = (row) =>
    row.map((text, i) => (i === 0 ? text.padEnd(widths[i]) : text.padStart(widths[i]))).join('  ');
  const total = (key) => stages.reduce((sum, { tally }) => sum + tally[key], 0);
  const skipped = total('skipped');
  const closing = `${total('passed')} passed, ${total('failed')} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
  return ['', line(header), ...rows.map(line), '', closing].join('\n');
}
