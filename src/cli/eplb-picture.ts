import type { Balance } from '../expert/balance.js';
import type { Placement } from '../expert/placement.js';
import { columns, paint } from './output.js';

const BAR = 40;
const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/** A bar for the load of each GPU, the mean marked in all, and the experts; those that have replicas are bold. */
export function picture({ slots }: Placement, balance: Balance, counts: ArrayLike<number>): string {
  const { rankLoads, nodeLoads } = balance;
  const most = Math.max(...rankLoads);
  const mean = rankLoads.reduce((sum, load) => sum + load, 0) / rankLoads.length;
  const perNode = slots.length / nodeLoads.length;
  const rows = slots.map((experts, gpu) => [
    gpu % perNode === 0 && nodeLoads.length > 1 ? `node ${gpu / perNode}` : '',
    `gpu ${gpu}`,
    bar(rankLoads[gpu]!, mean, most),
    loadText(rankLoads[gpu]!),
    experts.map((expert) => (counts[expert]! > 1 ? paint('bold', `${expert}`) : `${expert}`)).join(' '),
  ]);
  const head = ['', '', `${' '.repeat(column(mean, most))}| mean ${loadText(mean)}`, 'load', 'experts'];
  return columns([head.map((text) => paint('dim', text)), ...rows]);
}

/** Of BAR columns, that where a value ends. */
function column(value: number, most: number): number {
  return most === 0 ? 0 : Math.min(BAR - 1, Math.floor((value / most) * BAR));
}

function bar(load: number, mean: number, most: number): string {
  const eighths = most === 0 ? 0 : Math.round((load / most) * BAR * 8);
  const cells = [...('█'.repeat(eighths >> 3) + EIGHTHS[eighths & 7]).padEnd(BAR)];
  // Where the bar does not cover it.
  const at = column(mean, most);
  if (cells[at] === ' ') cells[at] = '|';
  return cells.join('');
}

export function loadText(load: number): string {
  return load >= 100 || Number.isInteger(load) ? load.toFixed(0) : load.toPrecision(3);
}
