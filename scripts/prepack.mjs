// Before `npm pack` and `npm publish`: everything that the package ships is built, the addon for this platform too.
import { copyFileSync, mkdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { buildAddon } from './lib/addon.mjs';
import { inRoot } from './lib/paths.mjs';
import { main } from './lib/report-failure.mjs';
import { buildPackage } from './lib/typescript.mjs';

await main(async () => {
  const addon = inRoot(await buildAddon());
  await buildPackage();
  const { getPrebuildName } = createRequire(import.meta.url)('pkg-prebuilds/lib/prebuild.js');
  const { platform, arch } = process;
  const name = getPrebuildName({ name: 'tensorweft', platform, arch, runtime: 'node', napi_version: 9 });
  const prebuilt = inRoot('prebuilds', name);
  mkdirSync(dirname(prebuilt), { recursive: true });
  // Not overwritten in place: a process may have it loaded.
  rmSync(prebuilt, { force: true });
  copyFileSync(addon, prebuilt);
});
