import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { invalidArgument, systemError } from '../errors.js';
import type { Coordinator, OfChannel } from '../mesh/coordinator.js';
import type { ServerTls } from '../mesh/coordinator-server.js';
import { type Departure, ROLES, ranksOf, shapeText, sizeOfMesh } from '../mesh/roster.js';
import { columns, printJson } from './output.js';
import { givenToken } from './token.js';
import { wholeNumber } from './whole-number.js';

interface Options {
  attention?: number;
  ffn?: number;
  ep?: number;
  host: string;
  port: number;
  tokenFile?: string;
  tlsCert?: string;
  tlsKey?: string;
  joinDeadline?: number;
  json?: true;
}

export function registerCoordinator(program: Command): void {
  program
    .command('coordinator')
    .description('bring the members of a mesh together; runs until it is interrupted')
    .option('--attention <m>', 'attention ranks', wholeNumber(1, 1023))
    .option('--ffn <n>', 'FFN ranks', wholeNumber(1, 1023))
    .option(
      '--ep <n>',
      'ranks of an expert-parallel mesh, instead of attention and FFN ranks',
      wholeNumber(1, 1024),
    )
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--port <number>', 'port to listen on; 0 takes any that is free', wholeNumber(0, 65_535), 0)
    .option(
      '--token-file <path>',
      "file that holds the mesh's token (default: WEFT_TOKEN, or a new random one)",
    )
    .option('--tls-cert <path>', 'certificate (PEM) to speak wss with; needs --tls-key')
    .option('--tls-key <path>', 'private key (PEM) of the certificate')
    .option(
      '--join-deadline <seconds>',
      'from the first join until all must be there; no limit if not given',
      wholeNumber(1, 2_000_000),
    )
    .option('--json', 'print one JSON object')
    .action(runCoordinator);
}

async function runCoordinator(options: Options): Promise<void> {
  const { attention, ffn, ep, host, port, tokenFile, joinDeadline, json } = options;
  const given = givenToken(tokenFile, process.env, log);
  const tls = givenTls(options);
  const stopped = untilStopped();
  const { startCoordinator } = await import('../mesh/coordinator.js');
  await using coordinator = await startCoordinator({
    attention,
    ffn,
    ep,
    host,
    port,
    tls,
    token: given?.token,
    joinDeadlineMs: joinDeadline === undefined ? undefined : joinDeadline * 1000,
  });
  const shape = coordinator.roster;
  tellEvents(coordinator, sizeOfMesh(shape));
  // A token that came from elsewhere stays there: what is printed here ends up in logs.
  const { url, token } = coordinator;
  if (json) {
    const ranks = Object.fromEntries(
      ROLES.filter((role) => ranksOf(shape, role) > 0).map((role) => [role, ranksOf(shape, role)]),
    );
    printJson({ url, ...(given === undefined ? { token } : { tokenFrom: given.from }), ...ranks });
  } else
    console.log(
      columns([
        ['url', url],
        ['token', given === undefined ? token : `from ${given.from}`],
      ]),
    );
  log(`waiting for ${shapeText(shape)}`);
  log(`stopped by ${await stopped}`);
}

function givenTls({ tlsCert, tlsKey }: Options): ServerTls | undefined {
  if (tlsCert === undefined && tlsKey === undefined) return undefined;
  if (tlsCert === undefined || tlsKey === undefined)
    throw invalidArgument(
      tlsCert === undefined ? '--tls-cert' : '--tls-key',
      undefined,
      'given with the other',
    );
  return { cert: pem('--tls-cert', tlsCert), key: pem('--tls-key', tlsKey) };
}

function pem(option: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw systemError(option, error);
  }
}

function tellEvents(coordinator: Coordinator, members: number): void {
  const within = ({ channel }: { channel?: string }): string =>
    channel === undefined ? '' : ` (channel ${channel})`;
  coordinator.on('joined', (member) => {
    const missing = member.channel === undefined ? members - coordinator.roster.members.length : 0;
    const { role, rank } = member;
    log(`${role} ${rank} joined${within(member)}${missing > 0 ? `, ${missing} missing` : ''}`);
  });
  coordinator.on('complete', (roster) => log(`the mesh is complete${within(roster)}`));
  const departed = (departure: OfChannel<Departure>): void => {
    const { role, rank, reason } = departure;
    log(`${role} ${rank} ${reason === 'left' ? 'left' : 'was lost'}${within(departure)}`);
  };
  coordinator.on('left', departed);
  coordinator.on('lost', departed);
}

/** The first signal stops in good order; the next one, having no listener any more, at once. */
function untilStopped(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    process.once('SIGINT', resolve);
    process.once('SIGTERM', resolve);
  });
}

function log(text: string): void {
  console.error(`${new Date().toISOString()} ${text}`);
}
