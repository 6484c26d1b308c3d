import { library } from './tools.mjs';

/** UCX works on any machine, over TCP and shared memory; without its library what needs it is skipped. */
export function hasUcx(tally, what = 'ucx') {
  const has = library('libucp.so.0');
  if (!has) tally.skip(`${what}: libucx0 not installed`);
  return has;
}

/** Environment of a suite: the fabrics of this machine that it runs over beside the usual transports. */
export function fabricsHere(tally) {
  return { WEFT_TEST_FABRICS: hasUcx(tally) ? 'ucx' : '' };
}
