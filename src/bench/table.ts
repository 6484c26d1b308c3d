import Table from 'cli-table3';
import type { BenchReport } from './report.js';
import type { Latency } from './statistics.js';

const COLUMNS: readonly (keyof Latency)[] = ['min', 'p50', 'p90', 'p99', 'p999', 'max'];

/** The report for people. */
export function table(report: BenchReport): string {
  const { environment: env, floorUs, latencyUs } = report;
  const rows: [string, Latency][] = [
    [report.floor === 'memory' ? 'floor (memory, no library)' : 'floor (plain sockets)', floorUs],
    ['tensorweft, C++', latencyUs],
    ['tensorweft, TypeScript blocking', report.typescriptUs],
    ['tensorweft, TypeScript promises', report.promisesUs],
    ...Object.entries(report.streamed ?? {}).map(([blocks, { latencyUs }]): [string, Latency] => [
      `tensorweft, C++, ${blocks} blocks`,
      latencyUs,
    ]),
  ];
  const cells = rows.map(([name, latency]) => [
    name,
    ...COLUMNS.map((q) => latency[q].toFixed(q === 'min' || latency[q] < 100 ? 2 : 1)),
    (latency.p50 / floorUs.p50).toFixed(3),
  ]);
  const what =
    report.workload === 'pp'
      ? `one way, ${report.tokens * report.hidden} bytes`
      : `dispatch + combine, slowest rank, ${report.tokens} x ${report.hidden}`;
  return [
    `# ${report.workload} ${report.preset} over ${report.transport}: ${report.attention} attention, ${report.ffn} ffn; ${what}`,
    `# ${env.cpu}, ${env.cores} cores, Linux ${env.kernel}, Node ${env.node}, ${env.isa}${env.pinned ? ', pinned' : ''}`,
    plainTable(['# latency, us', ...COLUMNS, 'p50 / floor'], cells),
    ...(report.sent === undefined
      ? []
      : Object.entries(report.sent).map(
          ([way, { messages, requests, bytes }]) =>
            `# ${way}: ${messages} messages per round and peer, in ${requests} requests, ${bytes} bytes`,
        )),
    `# ${report.iterations} rounds each, in turns; wrong bytes: ${report.wrong}; TypeScript adds ${report.apiOverheadUs} us blocking, ${report.promiseOverheadUs} us with promises`,
  ].join('\n');
}

/** Columns without lines: the first of words, the others of numbers. */
export function plainTable(head: string[], rows: readonly string[][]): string {
  const lines = [
    'top',
    'top-mid',
    'top-left',
    'top-right',
    'bottom',
    'bottom-mid',
    'bottom-left',
    'bottom-right',
  ];
  const bars = ['left', 'left-mid', 'mid', 'mid-mid', 'right', 'right-mid', 'middle'];
  const out = new Table({
    head,
    colAligns: head.map((_, i) => (i === 0 ? 'left' : 'right')),
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 2 },
    chars: Object.fromEntries([...lines, ...bars].map((name) => [name, ''])),
  });
  out.push(...rows);
  return out.toString();
}
