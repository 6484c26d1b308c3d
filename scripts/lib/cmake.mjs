import { existsSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { inRoot, root } from './paths.mjs';
import { which } from './tools.mjs';

export const GENERATOR = which('ninja') === undefined ? 'Unix Makefiles' : 'Ninja';

/**
 * Removes a build folder that cmake would refuse to go on with: one of a checkout that was elsewhere, or made with
 * another generator, as when ninja was installed since.
 */
export function dropForeignBuild(folder) {
  const cache = inRoot(folder, 'CMakeCache.txt');
  if (!existsSync(cache)) return;
  const text = readFileSync(cache, 'utf8');
  const value = (name) => new RegExp(`^${name}:INTERNAL=(.*)$`, 'm').exec(text)?.[1];
  const home = value('CMAKE_HOME_DIRECTORY');
  const same = home !== undefined && existsSync(home) && realpathSync(home) === realpathSync(root);
  if (!same || value('CMAKE_GENERATOR') !== GENERATOR) rmSync(inRoot(folder), { recursive: true });
  // Highway may have been installed since: have cmake look again.
  else if (/^HWY_INCLUDE:PATH=HWY_INCLUDE-NOTFOUND$/m.test(text))
    rmSync(join(root, folder, 'CMakeCache.txt'));
}
