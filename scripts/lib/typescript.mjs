import { chmodSync, existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './command.mjs';
import { fingerprint, unlessDone } from './fingerprint.mjs';
import { inRoot, sources } from './paths.mjs';
import { step } from './progress.mjs';

const CONFIGS = ['package.json', 'tsconfig.json', 'tsconfig.programs.json'];

/** src -> dist: the package. */
export async function buildPackage() {
  const made = ['dist/index.js', 'dist/index.d.ts', 'dist/cli/main.js'];
  await compile('tsconfig.json', ['src'], [], made, () => {
    for (const file of sources(['dist'], /\.js$/)) drop(file, join('src', file.slice('dist/'.length)));
    chmodSync(inRoot('dist/cli/main.js'), 0o755);
  });
}

/** examples and test -> out/js: programs that import the package by its name, so its types must be there first. */
export async function buildPrograms() {
  const types = sources(['dist'], /\.d\.ts$/);
  await compile('tsconfig.programs.json', ['examples', 'test'], types, ['out/js/examples'], () => {
    for (const file of sources(['out/js'], /\.js$/)) drop(file, file.slice('out/js/'.length));
  });
}

async function compile(config, folders, others, products, after) {
  const mark = fingerprint([
    ...CONFIGS,
    ...sources(folders, /\.ts$/),
    ...others,
    'node_modules/.package-lock.json',
  ]);
  const name = config.replace('.json', '');
  await unlessDone(name, mark, products, () =>
    step(`compiling ${folders.join(' and ')}`, async () => {
      await run(name, inRoot('node_modules/.bin/tsc'), ['-p', config, '--pretty', 'false']);
      after();
    }),
  );
}

/** What was compiled from a source that is gone would go on being imported, tested and packed. */
function drop(product, source) {
  if (existsSync(inRoot(source.replace(/\.js$/, '.ts')))) return;
  for (const ending of ['.js', '.js.map', '.d.ts', '.d.ts.map'])
    rmSync(inRoot(product.replace(/\.js$/, ending)), { force: true });
}
