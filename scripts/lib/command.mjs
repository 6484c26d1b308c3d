import { spawn } from 'node:child_process';
import { createWriteStream, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { logs, root, shown } from './paths.mjs';
import { duration } from './progress.mjs';

/** Of a long output people see the beginning, where a cause often stands, and the end. */
const HEAD_LINES = 20;
const TAIL_LINES = 60;
const DEFAULT_LIMIT_MINUTES = 20;

/** A command that did not do what it should. `excerpt` is of its output, all of which is in the file `log`. */
export class CommandFailed extends Error {
  constructor(text, { output, log }) {
    super(text);
    this.name = 'CommandFailed';
    this.output = output;
    this.log = log;
    this.excerpt = excerpt(output.trimEnd().split('\n'));
  }
}

function excerpt(lines) {
  if (lines.length <= HEAD_LINES + TAIL_LINES) return lines.join('\n');
  return [...lines.slice(0, HEAD_LINES), '...', ...lines.slice(-TAIL_LINES)].join('\n');
}

/** Process groups that we started and that still run: they must not outlive us. */
const running = new Set();

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.once(signal, () => {
    for (const pid of running) killGroup(pid);
    process.kill(process.pid, signal);
  });
}

/**
 * Runs a command in the repository with its output in out/logs/`name`.log and resolves with that output. Rejects with
 * CommandFailed when the exit status is not 0 or `limitMinutes` pass.
 */
export async function run(name, command, args = [], { env = {}, limitMinutes = DEFAULT_LIMIT_MINUTES } = {}) {
  mkdirSync(logs, { recursive: true });
  const log = join(logs, `${name}.log`);
  const file = createWriteStream(log);
  file.write(`$ ${[command, ...args].join(' ')}\n`);
  const started = performance.now();
  const { promise, resolve } = withResolvers();
  const child = spawn(command, args, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true, // a group of its own, so that its children end with it
  });
  if (child.pid !== undefined) running.add(child.pid);
  const chunks = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      chunks.push(chunk);
      file.write(chunk);
    });
  }
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    killGroup(child.pid);
  }, limitMinutes * 60_000);
  child.once('error', (error) => resolve({ error }));
  child.once('close', (code, signal) => resolve({ code, signal }));
  const { error, code, signal } = await promise;
  clearTimeout(timer);
  running.delete(child.pid);
  await new Promise((done) => file.end(done));
  const output = Buffer.concat(chunks).toString();
  const ms = performance.now() - started;
  if (code === 0 && !late) return { output, ms, log };
  const how = error?.message ?? (signal === null ? `exit status ${code}` : `ended by ${signal}`);
  const why = late ? `still running after ${limitMinutes} min, stopped` : how;
  throw new CommandFailed(`${name}: ${why} (${duration(ms)}); see ${shown(log)}`, { output, log });
}

function killGroup(pid) {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}

function withResolvers() {
  let resolve;
  const promise = new Promise((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
