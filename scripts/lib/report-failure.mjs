import { CommandFailed } from './command.mjs';
import { note } from './progress.mjs';

/** A sentence for our own failures, an excerpt of the output for a command's, the stack for everything else. */
export function failureText(error) {
  if (error instanceof CommandFailed) return `${error.message}\n${error.excerpt}`;
  if (error instanceof Unavailable) return error.message;
  return error.stack ?? String(error);
}

/** Something this machine lacks; the message says what to do. */
export class Unavailable extends Error {}

/** Runs a script's main function; a failure is told, and is the exit status. */
export async function main(work) {
  try {
    await work();
  } catch (error) {
    note(failureText(error));
    process.exitCode = 1;
  }
}
