// Formats the C++ sources (--write), or fails when one is not formatted (--check).
import { spawnSync } from 'node:child_process';
import { root, sources } from './lib/paths.mjs';
import { clangFormat } from './lib/tools.mjs';

const flags = { '--check': ['--dry-run', '-Werror'], '--write': ['-i'] }[process.argv[2]];
const program = clangFormat();
if (flags === undefined) {
  console.error('usage: node scripts/clang-format.mjs --check | --write');
  process.exitCode = 2;
} else if (program === undefined) {
  console.error('clang-format-19 is not installed: apt-get install clang-format-19');
  process.exitCode = 2;
} else {
  const files = sources(['native'], /\.(cc|h)$/);
  const { status } = spawnSync(program, [...flags, ...files], { cwd: root, stdio: 'inherit' });
  process.exitCode = status ?? 1;
}
