import type { Latency } from '../statistics.js';
import { plainTable } from '../table.js';
import type { EpPhase, EpReport } from './report.js';

const COLUMNS: readonly (keyof Latency)[] = ['min', 'p50', 'p90', 'p99', 'p999', 'max'];

/** The report for people. */
export function epTable(report: EpReport): string {
  const { environment: env, wireBytes } = report;
  const floor = report.floor === 'memory' ? 'floor (memory, no library)' : 'floor (plain sockets)';
  const rows = (['dispatch', 'combine', 'roundTrip'] as const).flatMap((name) => [
    row(`${name}: ${floor}`, report[name].floorUs),
    row(`${name}: tensorweft`, report[name].latencyUs, report[name]),
  ]);
  rows.push(row('dispatch as an index list, nothing copied', report.index.latencyUs, report.index));
  rows.push(row('dispatch: floor in memory with memcpy', report.copyingFloorUs));
  const mega = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
  return [
    `# ep ${report.preset} over ${report.transport}: ${report.ranks} ranks, ${report.tokens} x ${report.hidden}, top ${report.topK} of ${report.experts}, ${report.dtype}, ${report.routing}; slowest rank`,
    `# ${env.cpu}, ${env.cores} cores, Linux ${env.kernel}, Node ${env.node}, ${env.isa}${env.pinned ? ', pinned' : ''}`,
    plainTable(['# latency, us', ...COLUMNS, 'p50 / floor', 'logical GB/s'], rows),
    `# for other ranks: ${mega(wireBytes.dispatch)} dispatch, ${mega(wireBytes.combine)} combine of a rank and round${wireBytes.sent === undefined ? '' : ` (sent: ${mega(wireBytes.sent)})`}; memory of a rank: ${mega(report.memoryBytes)}`,
    ...(report.quantise === undefined
      ? []
      : [
          `# FP8 of ${mega(report.quantise.bytes)} of bf16 on one core: ${report.quantise.gbPerS.toFixed(2)} GB/s, ${report.quantise.ratioToCopy.toFixed(2)} of memcpy`,
        ]),
    `# ${report.iterations} rounds each, in turns; wrong bytes: ${report.wrong}`,
  ].join('\n');
}

function row(name: string, latency: Latency, phase?: EpPhase): string[] {
  return [
    name,
    ...COLUMNS.map((q) => latency[q].toFixed(1)),
    phase?.ratioToFloor.toFixed(3) ?? '',
    phase?.logicalGbPerS?.toFixed(2) ?? '',
  ];
}
