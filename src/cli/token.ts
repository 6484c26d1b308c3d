import { readFileSync, statSync } from 'node:fs';
import { invalidArgument, systemError } from '../errors.js';

export interface GivenToken {
  token: string;
  /** "WEFT_TOKEN", or the file's path. */
  from: string;
}

/**
 * The mesh token from a file, or else from WEFT_TOKEN; undefined when neither is given. It is never an argument of a
 * command: those are in every listing of processes.
 *
 * @throws WeftError WEFT_SYSTEM when the file cannot be read, WEFT_INVALID_ARGUMENT when there is nothing in it
 */
export function givenToken(
  file: string | undefined,
  env: NodeJS.ProcessEnv,
  warn: (text: string) => void,
): GivenToken | undefined {
  if (file === undefined) {
    if (env.WEFT_TOKEN === undefined) return undefined;
    return { token: checked('WEFT_TOKEN', env.WEFT_TOKEN), from: 'WEFT_TOKEN' };
  }
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
    const others = statSync(file).mode & 0o077;
    if (others !== 0) warn(`${file} can be read by others: chmod 600 ${file}`);
  } catch (error) {
    throw systemError('--token-file', error);
  }
  return { token: checked('--token-file', text), from: file };
}

function checked(name: string, text: string): string {
  const token = text.trim();
  if (token === '') throw invalidArgument(name, '', 'a token that is not empty');
  return token;
}
