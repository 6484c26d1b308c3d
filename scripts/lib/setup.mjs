import { installNodeModules } from './node-modules.mjs';
import { installPackages, missingPackages } from './packages.mjs';
import { Unavailable } from './report-failure.mjs';
import { which } from './tools.mjs';

const OLDEST_NODE = [20, 19];

/**
 * Makes a machine ready that has Node and a C++ compiler at most. `purposes` beyond 'build': 'gyp', 'native tests',
 * 'rdma vm', 'lint'. Without cmake the addon is built with node-gyp, which needs make and python3.
 */
export async function setup(purposes = []) {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1]))
    throw new Unavailable(`Node ${OLDEST_NODE.join('.')} or newer is needed, this is ${process.version}`);
  await installPackages(['build', ...purposes]);
  if (which('cmake') === undefined && missingPackages(['gyp']).length > 0) await installPackages(['gyp']);
  await installNodeModules();
}
