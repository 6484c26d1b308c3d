import { describe, expect, it } from 'vitest';

/** The scripts are plain JavaScript, so that they run before anything is installed. */
interface Structure {
  faultsOf(file: string, text: string): string[];
  nativeSources(files: string[]): string[];
}

const path = new URL('../../../scripts/lib/structure.mjs', import.meta.url).href;
const { faultsOf, nativeSources } = (await import(path)) as Structure;

describe('rules of the tree', () => {
  it('allows 500 lines', () => {
    expect(faultsOf('src/a.ts', 'x\n'.repeat(500))).toEqual([]);
    expect(faultsOf('src/a.ts', 'x\n'.repeat(501))).toEqual([expect.stringContaining('501 lines')]);
  });

  it.each([
    ['native/transport/a.cc', 'exchange/config.h'],
    ['native/wire/a.h', 'transport/transport.h'],
    ['native/wire/a.h', 'memory/fd.h'],
    ['native/memory/a.h', 'wire/frame.h'],
    ['native/kernels/a.h', 'memory/fd.h'],
    ['native/core/a.h', 'kernels/copy.h'],
    ['native/exchange/a.cc', 'binding/addon.h'],
    ['native/exchange/a.cc', 'napi.h'],
    ['native/test/a.cc', 'napi.h'],
  ])('%s must not include %s', (file, included) => {
    expect(faultsOf(file, `#pragma once\n#include "${included}"\n`)).toHaveLength(1);
    expect(faultsOf(file, `# include <${included}>\n`)).toHaveLength(1);
  });

  it.each([
    ['native/binding/a.cc', 'napi.h'],
    ['native/binding/a.cc', 'exchange/ffn.h'],
    ['native/exchange/a.cc', 'kernels/reduce.h'],
    ['native/transport/tcp/a.cc', 'transport/socket.h'],
    ['native/wire/a.h', 'core/status.h'],
    ['native/memory/a.cc', 'sys/eventfd.h'],
    ['native/test/a.cc', 'exchange/ffn.h'],
    ['src/a.ts', 'napi.h'],
  ])('%s may include %s', (file, included) => {
    expect(faultsOf(file, `#include <${included}>\n`)).toEqual([]);
  });

  it('lists the sources of the library and the binding', () => {
    const files = [
      'native/test/a.cc',
      'native/wire/b.cc',
      'native/fuzz/c.cc',
      'native/binding/d.cc',
      'native/e.h',
    ];
    expect(nativeSources(files)).toEqual(['native/binding/d.cc', 'native/wire/b.cc']);
  });
});
