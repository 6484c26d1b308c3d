import { dropForeignBuild, GENERATOR } from './cmake.mjs';
import { run } from './command.mjs';
import { fingerprint, unlessDone } from './fingerprint.mjs';
import { missingPackages } from './packages.mjs';
import { inRoot, sources } from './paths.mjs';
import { step } from './progress.mjs';
import { Unavailable } from './report-failure.mjs';
import { cores, header, nodeHeaders, which } from './tools.mjs';

export const CMAKE_ADDON = 'out/cmake/Release/tensorweft.node';
export const GYP_ADDON = 'build/Release/tensorweft.node';

/** The addon as the package ships it; with node-gyp where there is no cmake. Resolves with its path. */
export async function buildAddon() {
  if (which('cmake') !== undefined) return buildWithCmake();
  const missing = missingPackages(['gyp']);
  if (missing.length === 0) return buildWithGyp();
  throw new Unavailable(`building the addon needs cmake, or else ${missing.join(' and ')} for node-gyp`);
}

export async function buildWithCmake() {
  await whenChanged('addon-cmake', ['CMakeLists.txt'], [GENERATOR], CMAKE_ADDON, async () => {
    dropForeignBuild('out/cmake');
    const args = ['build', '-O', 'out/cmake', '--log-level', 'warn'];
    await run('addon-cmake', inRoot('node_modules/.bin/cmake-js'), args);
  });
  return CMAKE_ADDON;
}

export async function buildWithGyp() {
  await whenChanged('addon-gyp', ['binding.gyp'], [process.version], GYP_ADDON, async () => {
    const headers = nodeHeaders();
    const where = headers === undefined ? [] : [`--nodedir=${headers}`];
    const args = ['configure', 'build', '-j', String(cores), ...where];
    await run('addon-gyp', inRoot('node_modules/.bin/node-gyp'), args);
  });
  return GYP_ADDON;
}

async function whenChanged(name, files, facts, product, work) {
  const native = sources(['native'], /^native\/(?!test|fuzz).*\.(cc|h|txt)$/);
  const mark = fingerprint([...files, ...native], [...facts, `highway ${header('hwy/highway.h')}`]);
  await unlessDone(name, mark, [product], () => step(`building ${product}`, work));
}
