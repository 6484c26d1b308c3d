import { execFileSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

interface Packed {
  files: { path: string; mode: number }[];
}

interface PackageJson {
  bin: Record<string, string>;
  exports: Record<string, string | { types: string; default: string }>;
}

const [packed] = JSON.parse(
  execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  }),
) as [Packed];
const paths = packed.files.map(({ path }) => path);

describe('the packed package', () => {
  it('holds what it is built from, and what was built', () => {
    const sources = readFileSync('native/sources.txt', 'utf8').trim().split('\n');
    const others = ['package.json', 'LICENSE', 'CHANGELOG.md', 'CMakeLists.txt', 'binding.gyp'];
    const wanted = [
      ...others,
      'native/sources.txt',
      'native/transport/transport.h',
      'scripts/build.mjs',
      ...sources,
    ];
    expect(wanted.filter((path) => !paths.includes(path))).toEqual([]);
  });

  it('holds everything that package.json points at', () => {
    const { bin, exports } = JSON.parse(readFileSync('package.json', 'utf8')) as PackageJson;
    const targets = [
      ...Object.values(bin),
      ...Object.values(exports).flatMap((entry) =>
        typeof entry === 'string' ? [entry] : Object.values(entry),
      ),
    ].map((path) => path.replace(/^\.\//, ''));
    expect(targets.filter((path) => !paths.includes(path))).toEqual([]);
  });

  it('holds no tests, examples or build folders', () => {
    const stray =
      /^(test|examples|out|build|node_modules|\.ci)\/|^native\/(test|fuzz)\/|\.test\.|\.node$|\.log$/;
    expect(paths.filter((path) => stray.test(path) && !path.startsWith('prebuilds/'))).toEqual([]);
  });

  it('has a command line that can be executed', () => {
    expect(statSync('dist/cli/main.js').mode & 0o111).toBe(0o111);
  });

  it('runs no script when it is installed', () => {
    const { scripts, gypfile } = JSON.parse(readFileSync('package.json', 'utf8')) as {
      scripts: Record<string, string>;
      gypfile: boolean;
    };
    // Without `gypfile: false` npm would compile binding.gyp on every install.
    expect(gypfile).toBe(false);
    for (const name of ['preinstall', 'install', 'postinstall', 'prepare'])
      expect(scripts).not.toHaveProperty(name);
  });

  it('has a lock file that names no registry', () => {
    expect(readFileSync('package-lock.json', 'utf8')).not.toContain('"resolved"');
  });

  it('has a lock file that npm ci takes: with the optional packages of other systems too', () => {
    // npm leaves out those that its registry does not have at that moment, and then refuses its own work.
    const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
      packages: Record<string, { optionalDependencies?: Record<string, string> }>;
    };
    const optional = Object.values(packages).flatMap((entry) =>
      Object.keys(entry.optionalDependencies ?? {}),
    );
    expect(optional.filter((name) => !(`node_modules/${name}` in packages))).toEqual([]);
  });
});
