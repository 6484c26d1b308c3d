import { readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository; every command runs there. */
export const root = join(dirname(fileURLToPath(import.meta.url)), '../..');

/** Everything made by the scripts lies under it, except dist (the package), build (node-gyp) and node_modules. */
export const out = join(root, 'out');
export const logs = join(out, 'logs');

export const inRoot = (...parts) => join(root, ...parts);

/** "out/logs/ts.log": a path as people see it. */
export const shown = (path) => relative(process.cwd(), path) || '.';

/** Paths relative to the repository of the files under `folders` whose names match, sorted. Missing folders are empty. */
export function sources(folders, pattern) {
  return folders
    .flatMap((folder) => list(folder).map((file) => join(folder, file)))
    .filter((file) => pattern.test(file))
    .sort();
}

function list(folder) {
  try {
    return readdirSync(inRoot(folder), { recursive: true }).map(String);
  } catch (error) {
    if (error.code === 'ENOENT') return [];
    throw error;
  }
}
