import { type Command, Option } from 'commander';
import { invalidArgument } from '../errors.js';
import { type Balance, balanceOf } from '../expert/balance.js';
import { eplbPlacement } from '../expert/eplb.js';
import {
  checkPlacement,
  linearPlacement,
  type Placement,
  replicaCounts,
  roundRobinPlacement,
} from '../expert/placement.js';
import { type Migration, replan } from '../expert/replan.js';
import { readLoads, readPlan } from './eplb-loads.js';
import { picture } from './eplb-picture.js';
import { columns, paint, printJson } from './output.js';
import { wholeNumber } from './whole-number.js';

interface Options {
  gpus?: number;
  nodes: number;
  groups: number;
  replicas?: number;
  policy: 'eplb' | 'linear' | 'round-robin';
  from?: string;
  target: number;
  layer?: number;
  json?: true;
}

interface Layer {
  placement: Placement;
  balance: Balance;
  /** Rank max/mean of what it is compared with: the plan in use, or experts in order without replicas. */
  before: number;
  migrations?: readonly Migration[];
  /** Whether they were enough for the target. */
  reached?: boolean;
}

export function registerEplb(program: Command): void {
  program
    .command('eplb')
    .description(
      'place the experts of a mixture-of-experts model on GPUs by their loads, and show how even that is',
    )
    .argument('<loads>', 'file with the load of each expert in each layer, JSON or CSV')
    .option('--gpus <n>', 'GPUs (ranks) that hold experts', wholeNumber(1, 65_536))
    .option('--nodes <n>', 'nodes, with as many GPUs on each', wholeNumber(1, 65_536), 1)
    .option('--groups <n>', 'groups of experts that stay on one node (eplb)', wholeNumber(1, 65_536), 1)
    .option('--replicas <n>', 'slots of all GPUs (eplb; default: just enough)', wholeNumber(1, 1_048_576))
    .addOption(
      new Option('--policy <name>', 'how').choices(['eplb', 'linear', 'round-robin']).default('eplb'),
    )
    .option('--from <plan>', 'move few experts of a plan in use, as --json has printed it, instead')
    .option('--target <ratio>', 'with --from: max/mean of GPU loads that is even enough', Number, 1.1)
    .option('--layer <n>', 'layer that is drawn (default: the least even one)', wholeNumber(0, 65_535))
    .option('--json', 'print one JSON object')
    .action(runEplb);
}

function runEplb(path: string, options: Options): void {
  const loads = readLoads(path);
  const layers =
    options.from === undefined ? fresh(loads, options) : incremental(loads, options.from, options);
  const experts = loads[0]!.length;
  if (options.json) {
    printJson(report(experts, layers, options));
    return;
  }
  const drawn = options.layer ?? leastEven(layers);
  if (drawn >= layers.length) throw invalidArgument('--layer', drawn, `a layer, 0 to ${layers.length - 1}`);
  console.log(table(layers, options));
  const { placement, balance } = layers[drawn]!;
  console.log(`\nlayer ${drawn}\n${picture(placement, balance, replicaCounts(placement))}`);
}

function fresh(loads: number[][], { gpus: ranks, nodes, groups, replicas, policy }: Options): Layer[] {
  if (ranks === undefined)
    throw invalidArgument('--gpus', ranks, 'the number of GPUs, unless --from is given');
  if (policy !== 'eplb' && (replicas !== undefined || groups !== 1))
    throw invalidArgument(
      '--policy',
      policy,
      "'eplb' with --replicas or --groups: the others make no replicas",
    );
  return loads.map((of) => {
    const linear = linearPlacement(of.length, ranks);
    const placement =
      policy === 'eplb'
        ? eplbPlacement(of, { ranks, nodes, groups, ...(replicas === undefined ? {} : { replicas }) })
        : policy === 'linear'
          ? linear
          : roundRobinPlacement(of.length, ranks);
    const before = balanceOf(linear, of).rankMaxOverMean;
    return { placement, balance: balanceOf(placement, of, nodes), before };
  });
}

function incremental(loads: number[][], path: string, { nodes, target, gpus }: Options): Layer[] {
  const { experts, layers } = readPlan(path);
  if (experts !== loads[0]!.length || layers.length !== loads.length)
    throw invalidArgument(
      '--from',
      `${path}, of ${layers.length} layers and ${experts} experts`,
      `a plan for the loads: ${loads.length} layers and ${loads[0]!.length} experts`,
    );
  return layers.map(({ slots }, layer) => {
    const current = { experts, slots };
    checkPlacement(current, `${path}: layers[${layer}]`);
    if (gpus !== undefined && gpus !== slots.length)
      throw invalidArgument('--gpus', gpus, `what the plan has (${slots.length})`);
    const { placement, migrations, reached } = replan(current, loads[layer]!, { target, nodes });
    const before = balanceOf(current, loads[layer]!).rankMaxOverMean;
    return { placement, balance: balanceOf(placement, loads[layer]!, nodes), before, migrations, reached };
  });
}

function leastEven(layers: Layer[]): number {
  const most = Math.max(...layers.map(({ balance }) => balance.rankMaxOverMean));
  return layers.findIndex(({ balance }) => balance.rankMaxOverMean === most);
}

function table(layers: Layer[], { from, nodes }: Options): string {
  const ratio = (value: number): string => value.toFixed(3);
  const head = [
    'layer',
    from === undefined ? 'in order' : 'plan in use',
    'max/mean of GPUs',
    'of nodes',
    'moved',
  ];
  const rows = layers.map(({ balance, before, migrations, reached }, layer) => [
    `${layer}`,
    ratio(before),
    ratio(balance.rankMaxOverMean),
    nodes > 1 ? ratio(balance.nodeMaxOverMean) : '-',
    migrations === undefined ? '-' : `${migrations.length}${reached ? '' : ', target not reached'}`,
  ]);
  return columns([head.map((text) => paint('dim', text)), ...rows]);
}

function report(experts: number, layers: Layer[], { from, policy, nodes, groups, target }: Options): object {
  const first = layers[0]!.placement.slots;
  return {
    policy: from === undefined ? policy : 'incremental',
    experts,
    gpus: first.length,
    nodes,
    groups,
    ...(from === undefined ? {} : { target }),
    layers: layers.map(({ placement, balance, before, migrations, reached }) => ({
      slots: placement.slots,
      gpuLoads: balance.rankLoads,
      nodeLoads: balance.nodeLoads,
      gpuMaxOverMean: balance.rankMaxOverMean,
      nodeMaxOverMean: balance.nodeMaxOverMean,
      gpuMaxOverMeanBefore: before,
      ...(migrations === undefined ? {} : { migrations, reached }),
    })),
  };
}
