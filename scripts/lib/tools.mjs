import { execFileSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { delimiter, dirname, join } from 'node:path';

export const cores = availableParallelism();

/** Full path of a program, or undefined. */
export function which(program) {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const path = join(folder, program);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // not here
    }
  }
  return undefined;
}

export function header(name) {
  return ['/usr/include', '/usr/local/include'].some((folder) => existsSync(join(folder, name)));
}

/** Whether the loader finds a shared library. */
export function library(name) {
  try {
    return execFileSync('ldconfig', ['-p'], { encoding: 'utf8' }).includes(`${name} `);
  } catch {
    return existsSync(join('/usr/lib', name));
  }
}

/** The formatter in the one version that the sources are formatted with; others disagree in details. */
export function clangFormat() {
  const named = which('clang-format-19');
  if (named !== undefined) return named;
  const plain = which('clang-format');
  if (plain === undefined) return undefined;
  return /version 19\./.test(execFileSync(plain, ['--version'], { encoding: 'utf8' })) ? plain : undefined;
}

/** Where Node's own headers lie when they came with it, so that node-gyp need not download them. */
export function nodeHeaders() {
  const prefix = dirname(dirname(process.execPath));
  return existsSync(join(prefix, 'include/node/common.gypi')) ? prefix : undefined;
}
