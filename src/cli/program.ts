import { Command } from 'commander';
import { registerBench } from './bench.js';
import { registerCoordinator } from './coordinator.js';
import { registerDoctor } from './doctor.js';
import { registerEplb } from './eplb.js';
import { registerInfo } from './info.js';
import { packageVersion } from './package-version.js';

/**
 * The whole command line. Commands load the library in their actions only, so that help, and `doctor` above all, work
 * where the addon does not; the subcommands of bench are there `withBench` only, because they need it for their options.
 */
export async function createProgram(withBench: boolean): Promise<Command> {
  const program = new Command('weft')
    .description('M:N tensor communication for disaggregated LLM inference')
    .version(packageVersion(), '--version', 'print the version of the package')
    .helpOption('-h, --help', 'print help')
    .showHelpAfterError('(weft --help lists the commands)');
  registerInfo(program);
  registerDoctor(program);
  registerCoordinator(program);
  registerEplb(program);
  await registerBench(program, withBench);
  return program;
}
