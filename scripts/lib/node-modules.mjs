import { existsSync, statSync } from 'node:fs';
import { run } from './command.mjs';
import { inRoot } from './paths.mjs';
import { step } from './progress.mjs';

/**
 * Installs the npm packages when they are missing or older than the lock file. No package of ours needs its install
 * script: what is native comes prebuilt.
 */
export async function installNodeModules() {
  const lock = inRoot('package-lock.json');
  const installed = inRoot('node_modules/.package-lock.json');
  if (existsSync(installed) && (!existsSync(lock) || changed(installed) >= changed(lock))) return;
  const command = existsSync(lock) ? 'ci' : 'install';
  const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  await step(`npm ${command}`, () => run(`npm-${command}`, 'npm', [command, ...quiet]));
}

const changed = (path) => statSync(path).mtimeMs;
