/** Runs the command line as users do: the built one, in a process of its own. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

export type Env = Record<string, string | undefined>;

export function start(args: readonly string[], env: Env = {}): ChildProcessWithoutNullStreams {
  const plain = { FORCE_COLOR: undefined, NO_COLOR: undefined, WEFT_TOKEN: undefined };
  return spawn(process.execPath, [program, ...args], { env: { ...process.env, ...plain, ...env } });
}

export async function weft(args: readonly string[], env: Env = {}): Promise<Ended> {
  return ended(start(args, env));
}

export async function ended(child: ChildProcessWithoutNullStreams): Promise<Ended> {
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout, stderr };
}
