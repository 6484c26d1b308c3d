import type { Command } from 'commander';

/** One file per workload: ./bench-*.ts. With `subcommands` false only the parent's line in the help is there. */
export async function registerBench(program: Command, subcommands: boolean): Promise<void> {
  const bench = program
    .command('bench')
    .description('measure a workload on this machine, beside the floor of the same work');
  if (!subcommands) return;
  const [{ registerAfd }, { registerEp }, { registerPp }, { registerBw }] = await Promise.all([
    import('./bench-afd.js'),
    import('./bench-ep.js'),
    import('./bench-pp.js'),
    import('./bench-bw.js'),
  ]);
  registerAfd(bench);
  registerEp(bench);
  registerPp(bench);
  registerBw(bench);
}
