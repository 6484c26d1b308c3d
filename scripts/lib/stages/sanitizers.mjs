import { readFileSync } from 'node:fs';
import { inRoot, sources } from '../paths.mjs';
import { nativeSuite } from './native.mjs';

export async function asan(tally) {
  await nativeSuite(tally, {
    folder: 'native-asan',
    sanitize: 'address,undefined',
    env: {
      ASAN_OPTIONS: 'detect_leaks=1:detect_stack_use_after_return=1',
      UBSAN_OPTIONS: 'print_stacktrace=1',
    },
    // Looking for leaks takes ptrace, which some containers forbid.
    retries: [
      {
        when: /LeakSanitizer has encountered a fatal error/,
        before: [],
        env: { ASAN_OPTIONS: 'detect_leaks=0' },
      },
    ],
  });
}

export async function tsan(tally, { filter = process.env.WEFT_TSAN_FILTER ?? threadedTests() } = {}) {
  await nativeSuite(tally, {
    folder: 'native-tsan',
    sanitize: 'thread',
    filter,
    env: {
      // gcc 12's sanitizer guesses where thread-local memory of a library loaded late begins, and guesses wrong when
      // that lies 16 bytes into a page: it dies of it, now and then, with UCX.
      TSAN_OPTIONS: 'halt_on_error=0:second_deadlock_stack=1:intercept_tls_get_addr=0',
      // The sanitizer does not survive UCX's hooks in libc, nor System V segments where it has memory of its own.
      UCX_MEM_EVENTS: 'n',
      UCX_TLS: 'tcp,self',
    },
    // Kernels with more address randomisation than gcc 12 knows of.
    retries: [{ when: /unexpected memory mapping/, before: ['setarch', '-R'], env: {} }],
  });
}

/**
 * All suites but those where nothing is shared between threads, and those that fork: the sanitizer has a thread of its
 * own in every process, and does not follow into a child of one with threads.
 */
function threadedTests() {
  const suites = new Set();
  for (const file of sources(['native/test'], /\.cc$/)) {
    const text = readFileSync(inRoot(file), 'utf8');
    if (!/^native\/test\/(kernels|wire)\//.test(file) && !text.includes('"support/cluster.h"')) continue;
    for (const [, suite] of text.matchAll(/^(?:TYPED_)?TEST(?:_P|_F)?\((\w+),/gm)) suites.add(suite);
  }
  const patterns = [...suites].flatMap((suite) => [`${suite}.*`, `*/${suite}.*`, `${suite}/*`]);
  return `-${patterns.join(':')}`;
}
