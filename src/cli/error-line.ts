import { isWeftError, peerText, type WeftCode } from '../errors.js';

/** What helps next, where the message itself does not say it. */
const HINTS: Partial<Record<WeftCode, string>> = {
  WEFT_UNAVAILABLE: 'weft doctor tries what this machine can do',
  WEFT_INVALID_ARGUMENT: '--help lists what is allowed',
  WEFT_SYSTEM: "the system's own reason stands last; weft doctor looks at the limits of this machine",
  WEFT_CONFIG_MISMATCH: 'all ranks must be started with the same settings',
  WEFT_AUTH: 'WEFT_TOKEN or --token-file must hold the same token everywhere',
  WEFT_PROTOCOL: 'compare weft info on both sides: the versions must be equal',
  WEFT_DEADLINE: 'look at the other side first: a rank that is slow or missing is the usual cause',
  WEFT_PEER_LOST: 'look at what the lost rank said last',
};

/** An error for people: typed ones on one line with their code and a hint, all others with the stack. */
export function errorLine(error: unknown): string {
  if (isWeftError(error)) {
    const { code, peer } = error;
    const who = peer === undefined || error.message.includes(peerText(peer)) ? '' : ` (${peerText(peer)})`;
    const hint = HINTS[code];
    return `weft: ${code}: ${oneLine(error.message)}${who}${hint === undefined ? '' : `; hint: ${hint}`}`;
  }
  return `weft: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
}

export function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, ' ').trim();
}
