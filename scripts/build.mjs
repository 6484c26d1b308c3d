// Builds what has changed: the addon, the package (dist) and the programs that use it (out/js).
import { existsSync } from 'node:fs';
import { buildAddon } from './lib/addon.mjs';
import { inRoot } from './lib/paths.mjs';
import { main, Unavailable } from './lib/report-failure.mjs';
import { buildPackage, buildPrograms } from './lib/typescript.mjs';

export async function build() {
  if (!existsSync(inRoot('node_modules/node-addon-api')))
    throw new Unavailable(`the development packages are not installed: run npm install in ${inRoot()} first`);
  await buildAddon();
  // An installed package has its JavaScript, and no configuration to make it anew.
  if (!existsSync(inRoot('tsconfig.json'))) return;
  await buildPackage();
  await buildPrograms();
}

if (process.argv[1] === import.meta.filename) await main(build);
