import { run } from '../command.mjs';
import { inRoot } from '../paths.mjs';
import { Unavailable } from '../report-failure.mjs';
import { clangFormat } from '../tools.mjs';

export async function lint(tally) {
  await tally.check('biome', () =>
    run('biome', inRoot('node_modules/.bin/biome'), ['check', '--error-on-warnings', '--colors=off', '.']),
  );
  await tally.check('clang-format', () => {
    if (clangFormat() === undefined) throw new Unavailable('clang-format-19 is not installed');
    return run('clang-format', process.execPath, ['scripts/clang-format.mjs', '--check']);
  });
  await tally.check('structure', () => run('structure', process.execPath, ['scripts/check-structure.mjs']));
}
