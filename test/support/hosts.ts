/** Two hosts on one machine: network namespaces of our own, joined by a virtual wire. */
import { execFileSync } from 'node:child_process';

export interface Host {
  address: string;
  /** Its end of the wire. */
  device: string;
  /** In front of a command line that is to run there. */
  enter: readonly [string, ...string[]];
}

export interface Hosts extends Disposable {
  near: Host;
  far: Host;
  /** Unplugs the wire, without a word to either end. */
  unplug(): void;
}

const ip = (...args: string[]): void =>
  void execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });

/** Why there can be none; undefined when there can. Namespaces take the rights of root. */
export function noHosts(): string | undefined {
  const name = `weft-${process.pid}-probe`;
  try {
    ip('netns', 'add', name);
    ip('netns', 'delete', name);
    return undefined;
  } catch (error) {
    return (error as Error).message.trim().split('\n').at(-1);
  }
}

/** The kernel says so a moment later, and UCX leaves out devices of which it does not. */
function waitUntilUp(namespace: string, device: string): void {
  const look = (): string =>
    execFileSync('ip', ['-n', namespace, 'link', 'show', 'dev', device], { encoding: 'utf8' });
  for (const until = Date.now() + 10_000; !look().includes('state UP'); ) {
    if (Date.now() > until) throw new Error(`${device} in ${namespace} does not come up`);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
  }
}

export function makeHosts(): Hosts {
  const host = (end: string, address: string): Host => {
    const namespace = `weft-${process.pid}-${end}`;
    return { address, device: `weft${end}`, enter: ['ip', 'netns', 'exec', namespace] };
  };
  const [near, far] = [host('near', '10.78.0.1'), host('far', '10.78.0.2')];
  const nameOf = ({ enter }: Host): string => enter[3]!;
  for (const one of [near, far]) {
    ip('netns', 'add', nameOf(one));
    ip('-n', nameOf(one), 'link', 'set', 'lo', 'up');
  }
  const ends = ['name', near.device, 'type', 'veth', 'peer', 'name', far.device, 'netns', nameOf(far)];
  ip('-n', nameOf(near), 'link', 'add', ...ends);
  for (const one of [near, far]) {
    ip('-n', nameOf(one), 'address', 'add', `${one.address}/24`, 'dev', one.device);
    ip('-n', nameOf(one), 'link', 'set', one.device, 'up');
  }
  for (const one of [near, far]) waitUntilUp(nameOf(one), one.device);
  return {
    near,
    far,
    unplug: () => ip('-n', nameOf(near), 'link', 'set', near.device, 'down'),
    [Symbol.dispose]: () => {
      for (const one of [near, far]) ip('netns', 'delete', nameOf(one));
    },
  };
}
