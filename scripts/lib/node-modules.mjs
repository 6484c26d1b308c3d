import { existsSync, statSync } from 'node:fs';
import { CommandFailed, run } from './command.mjs';
import { inRoot } from './paths.mjs';
import { note, step } from './progress.mjs';

/**
 * Installs the npm packages when they are missing or older than the lock file. No package of ours needs its install
 * script: what is native comes prebuilt.
 */
export async function installNodeModules() {
  const lock = inRoot('package-lock.json');
  const installed = inRoot('node_modules/.package-lock.json');
  if (existsSync(installed) && (!existsSync(lock) || changed(installed) >= changed(lock))) return;
  const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  const npm = (...args) => step(`npm ${args[0]}`, () => run(`npm-${args[0]}`, 'npm', [...args, ...quiet]));
  if (!existsSync(lock)) return npm('install');
  try {
    await npm('ci');
  } catch (error) {
    if (!(error instanceof CommandFailed)) throw error;
    // `ci` wants every package of the lock file to exist; `install` forgives a registry that lacks one of another system.
    note(`${error.message}; trying npm install`);
    await npm('install', '--no-save');
  }
}

const changed = (path) => statSync(path).mtimeMs;
