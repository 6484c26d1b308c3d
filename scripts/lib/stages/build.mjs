import { buildWithCmake, buildWithGyp, CMAKE_ADDON, GYP_ADDON } from '../addon.mjs';
import { run } from '../command.mjs';
import { missingPackages } from '../packages.mjs';
import { inRoot } from '../paths.mjs';
import { Unavailable } from '../report-failure.mjs';
import { which } from '../tools.mjs';

/** Both builds of the addon must load, and be the same thing. */
export async function build(tally) {
  const cmake = await tally.check('cmake-js', () => {
    if (which('cmake') === undefined) throw new Unavailable('cmake is not installed');
    return buildWithCmake();
  });
  const gyp = await tally.check('node-gyp', () => {
    const missing = missingPackages(['gyp']);
    if (missing.length > 0) throw new Unavailable(`${missing.join(' and ')} not installed`);
    return buildWithGyp();
  });
  const paths = [...(cmake ? [CMAKE_ADDON] : []), ...(gyp ? [GYP_ADDON] : [])];
  const infos = [];
  for (const path of paths) {
    await tally.check(`${path} loads`, async () => {
      const code = `console.log(JSON.stringify(require(${JSON.stringify(inRoot(path))}).info()))`;
      const { output } = await run(`load-${path.split('/')[0]}`, process.execPath, ['-e', code]);
      infos.push(JSON.stringify(JSON.parse(output)));
    });
  }
  if (infos.length < 2) tally.skip('same info(): there are not two addons to compare');
  else
    await tally.check('same info()', () => {
      if (infos[0] !== infos[1]) throw new Error(`${paths[0]}: ${infos[0]}\n${paths[1]}: ${infos[1]}`);
    });
}
