import { existsSync } from 'node:fs';
import { CommandFailed, run } from './command.mjs';
import { note, step } from './progress.mjs';
import { clangFormat, header, library, which } from './tools.mjs';

/** Debian packages, what each is for, and how to see that it (or an equal from elsewhere) is there. */
const PACKAGES = [
  { name: 'g++', purpose: 'build', found: () => which('c++') ?? which('g++') },
  { name: 'cmake', purpose: 'build', found: () => which('cmake') },
  { name: 'ninja-build', purpose: 'build', found: () => which('ninja') },
  { name: 'libhwy-dev', purpose: 'build', found: () => header('hwy/highway.h') },
  { name: 'libibverbs-dev', purpose: 'build', found: () => header('infiniband/verbs.h') },
  { name: 'libucx-dev', purpose: 'build', found: () => header('ucp/api/ucp.h') },
  { name: 'libucx0', purpose: 'native tests', found: () => library('libucp.so.0') },
  { name: 'make', purpose: 'gyp', found: () => which('make') },
  { name: 'python3', purpose: 'gyp', found: () => which('python3') },
  { name: 'libgtest-dev', purpose: 'native tests', found: () => header('gtest/gtest.h') },
  { name: 'libgmock-dev', purpose: 'native tests', found: () => header('gmock/gmock.h') },
  { name: 'qemu-system-x86', purpose: 'rdma vm', found: () => which('qemu-system-x86_64') },
  { name: 'busybox-static', purpose: 'rdma vm', found: () => which('busybox') },
  { name: 'kmod', purpose: 'rdma vm', found: () => which('modprobe') },
  { name: 'xz-utils', purpose: 'rdma vm', found: () => which('xz') },
  { name: 'iproute2', purpose: 'rdma vm', found: () => which('rdma') ?? which('ip') },
  { name: 'tcpdump', purpose: 'rdma vm', found: () => which('tcpdump') },
  { name: 'ibverbs-providers', purpose: 'rdma vm', found: () => existsSync('/etc/libibverbs.d/rxe.driver') },
  { name: 'perftest', purpose: 'rdma figures', found: () => which('ib_write_lat') },
  { name: 'ucx-utils', purpose: 'rdma figures', found: () => which('ucx_perftest') },
  { name: 'clang-format-19', purpose: 'lint', found: clangFormat },
];

/**
 * Installs what the purposes ('build', 'gyp', 'native tests', 'rdma vm', 'lint') need and the machine lacks; without the right to,
 * says how. What cannot be had is left to those who need it: there is a way without most of them.
 */
export async function installPackages(purposes) {
  const missing = missingPackages(purposes);
  if (missing.length === 0) return;
  const install = ['install', '-y', '--no-install-recommends', ...missing];
  if (which('apt-get') === undefined) {
    note(`not installed: ${missing.join(', ')} (names of Debian packages); going on without`);
    return;
  }
  if (process.getuid?.() !== 0) {
    note(`not installed: ${missing.join(', ')}; going on without. To install them:`);
    note(`  sudo apt-get update && sudo apt-get ${install.join(' ')}`);
    return;
  }
  try {
    await step(`installing ${missing.join(', ')}`, async () => {
      const env = { DEBIAN_FRONTEND: 'noninteractive' };
      await run('apt-get-update', 'apt-get', ['update'], { env });
      await run('apt-get-install', 'apt-get', install, { env });
    });
  } catch (error) {
    if (!(error instanceof CommandFailed)) throw error;
    note(`${error.message}; going on without`);
  }
}

export function missingPackages(purposes) {
  return PACKAGES.filter(({ purpose, found }) => purposes.includes(purpose) && !found()).map(
    ({ name }) => name,
  );
}
