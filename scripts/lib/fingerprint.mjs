import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inRoot, out } from './paths.mjs';

const folder = join(out, 'fingerprints');

/** One line that changes when a file comes, goes or is touched, or when one of the `facts` changes. */
export function fingerprint(files, facts = []) {
  const hash = createHash('sha256');
  for (const file of files) {
    const path = inRoot(file);
    const { size, mtimeMs } = existsSync(path) ? statSync(path) : { size: -1, mtimeMs: 0 };
    hash.update(`${file}\0${size}\0${mtimeMs}\n`);
  }
  for (const fact of facts) hash.update(`${fact}\n`);
  return hash.digest('hex');
}

/** Does `work` unless it was done for this very `mark` before and all its `products` are still there. */
export async function unlessDone(name, mark, products, work) {
  const path = join(folder, name);
  const done = existsSync(path) && readFileSync(path, 'utf8') === mark;
  if (done && products.every((product) => existsSync(inRoot(product)))) return false;
  rmSync(path, { force: true });
  await work();
  mkdirSync(folder, { recursive: true });
  writeFileSync(path, mark);
  return true;
}
