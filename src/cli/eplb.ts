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
import { LOADS, readLoads, readPlan } from './eplb-loads.js';
import { picture } from './eplb-picture.js';
import { columns, paint, printJson } from './output.js';
import { wholeNumber } from './whole-number.js';

interface Options {
  gpus?: number;
  nodes?: number;
  groups?: number;
  replicas?: number;
  policy?: 'eplb' | 'linear' | 'round-robin';
  from?: string;
  target?: number;
  layer?: number;
  json?: true;
}

interface Plans {
  experts: number;
  nodes: number;
  groups: number;
  how: string;
  layers: Layer[];
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
    .argument('<loads>', `file with the load of each expert in each layer. ${LOADS}`)
    .option('--gpus <n>', 'GPUs (ranks) that hold experts', wholeNumber(1, 65_536))
    .option('--nodes <n>', 'nodes, with as many GPUs on each', wholeNumber(1, 65_536))
    .option('--groups <n>', 'groups of experts that stay on one node (eplb)', wholeNumber(1, 65_536))
    .option('--replicas <n>', 'slots of all GPUs (eplb; default: just enough)', wholeNumber(1, 1_048_576))
    .addOption(
      new Option('--policy <name>', 'how (default: eplb)').choices(['eplb', 'linear', 'round-robin']),
    )
    .option('--from <plan>', 'move few experts of a plan in use, as --json has printed it, instead')
    .option(
      '--target <ratio>',
      'with --from: max/mean of GPU loads that is even enough (default: 1.1)',
      Number,
    )
    .option('--layer <n>', 'layer that is drawn (default: the least even one)', wholeNumber(0, 65_535))
    .option('--json', 'print one JSON object')
    .action(runEplb);
}

function runEplb(path: string, options: Options): void {
  const loads = readLoads(path);
  const { layer: drawn = -1 } = options;
  if (drawn >= loads.length) throw invalidArgument('--layer', drawn, `a layer, 0 to ${loads.length - 1}`);
  const plans =
    options.from === undefined ? fresh(loads, options) : incremental(loads, options.from, options);
  if (options.json) {
    printJson(report(plans));
    return;
  }
  console.log(table(plans));
  const layer = drawn < 0 ? leastEven(plans.layers) : drawn;
  const { placement, balance } = plans.layers[layer]!;
  console.log(`\nlayer ${layer}\n${picture(placement, balance, replicaCounts(placement))}`);
}

function fresh(loads: number[][], options: Options): Plans {
  const { gpus: ranks, nodes = 1, groups = 1, replicas, policy = 'eplb' } = options;
  if (ranks === undefined)
    throw invalidArgument('--gpus', ranks, 'the number of GPUs, unless --from is given');
  refuse(options, ['target'], 'with --from only');
  if (policy !== 'eplb') refuse(options, ['replicas', 'groups'], `for --policy eplb only, not ${policy}`);
  else if (groups % nodes !== 0)
    console.error(`weft: --groups ${groups} is not a multiple of --nodes ${nodes}: experts go on any node`);
  const layers = loads.map((of) => {
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
  return { experts: loads[0]!.length, nodes, groups, how: policy, layers };
}

function incremental(loads: number[][], path: string, options: Options): Plans {
  refuse(options, ['gpus', 'nodes', 'groups', 'replicas', 'policy'], 'without --from: the plan has it');
  const { experts, nodes, groups, layers } = readPlan(path);
  if (experts !== loads[0]!.length || layers.length !== loads.length)
    throw invalidArgument(
      '--from',
      `${path}, of ${layers.length} layers and ${experts} experts`,
      `a plan for the loads: ${loads.length} layers and ${loads[0]!.length} experts`,
    );
  const { target = 1.1 } = options;
  if (!(target >= 1)) throw invalidArgument('--target', target, 'a number, 1 or more');
  const moved = layers.map(({ slots }, layer) => {
    const current = { experts, slots };
    checkPlacement(current, `${path}: layers[${layer}]`);
    const { placement, migrations, reached } = replan(current, loads[layer]!, { target, nodes });
    const before = balanceOf(current, loads[layer]!).rankMaxOverMean;
    return { placement, balance: balanceOf(placement, loads[layer]!, nodes), before, migrations, reached };
  });
  return { experts, nodes, groups, how: `incremental to ${target}`, layers: moved };
}

function refuse(options: Options, names: (keyof Options)[], allowed: string): void {
  for (const name of names)
    if (options[name] !== undefined) throw invalidArgument(`--${name}`, options[name], `given ${allowed}`);
}

function leastEven(layers: Layer[]): number {
  const most = Math.max(...layers.map(({ balance }) => balance.rankMaxOverMean));
  return layers.findIndex(({ balance }) => balance.rankMaxOverMean === most);
}

function table({ layers, nodes }: Plans): string {
  const ratio = (value: number): string => value.toFixed(3);
  const before = layers[0]!.migrations === undefined ? 'in order' : 'plan in use';
  const head = ['layer', before, 'max/mean of GPUs', 'of nodes', 'moved'];
  const rows = layers.map(({ balance, before, migrations, reached }, layer) => [
    `${layer}`,
    ratio(before),
    ratio(balance.rankMaxOverMean),
    nodes > 1 ? ratio(balance.nodeMaxOverMean) : '-',
    migrations === undefined ? '-' : `${migrations.length}${reached ? '' : ', target not reached'}`,
  ]);
  return columns([head.map((text) => paint('dim', text)), ...rows]);
}

function report({ experts, nodes, groups, how, layers }: Plans): object {
  return {
    policy: how,
    experts,
    gpus: layers[0]!.placement.slots.length,
    nodes,
    groups,
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
