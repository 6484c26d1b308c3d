import { invalidArgument } from '../../errors.js';
import type { JoinOptions } from '../../mesh/join.js';
import { checkInteger } from './nd-array.js';

/**
 * The ranks that exchange, as a process group is for DeepEP: a coordinator that was started with `ep: size`, and this
 * process's rank. The other fields are those of `joinMesh()`.
 */
export interface Group extends Omit<JoinOptions, 'role' | 'layout' | 'rank'> {
  rank: number;
  size: number;
  /**
   * Buffers of one coordinator must differ in it: their meshes are its channels `<channel>/0`, `<channel>/1` and so on. At
   * most 48 characters. Default 'deepep'.
   */
  channel?: string;
  /** Of an opening, and the default of every later wait, in milliseconds. Default 10,000. */
  deadlineMs?: number;
}

export interface BufferOptions {
  /**
   * Normal mode: rows that a rank may dispatch at once; must be the same on all ranks. Only rows that are sent take
   * memory. DeepEP has no such number: its chunks wait for each other. Default 4096.
   */
  numMaxTokensPerRank?: number;
  /** Taken for the sake of code that gives them, and not looked at: memory follows from what is sent. */
  numNvlBytes?: number;
  numRdmaBytes?: number;
  lowLatencyMode?: boolean;
  numQpsPerRank?: number;
  allowNvlinkForLowLatencyMode?: boolean;
  allowMnnvl?: boolean;
  explicitlyDestroy?: boolean;
}

const OPTIONS = [
  'numMaxTokensPerRank',
  'numNvlBytes',
  'numRdmaBytes',
  'lowLatencyMode',
  'numQpsPerRank',
  'allowNvlinkForLowLatencyMode',
  'allowMnnvl',
  'explicitlyDestroy',
];

export function checkGroup(group: Group): void {
  if (typeof group !== 'object' || group === null)
    throw invalidArgument('group', group, '{ coordinator, token, rank, size }', { phase: 'join' });
  checkInteger('group.size', group.size, 1, 1024, 'join');
  checkInteger('group.rank', group.rank, 0, group.size - 1, 'join');
  const { channel = 'deepep' } = group;
  if (typeof channel !== 'string' || channel === '' || channel.length > 48)
    throw invalidArgument('group.channel', channel, 'a string of 1 to 48 characters', { phase: 'join' });
}

export function checkBufferOptions(options: BufferOptions): void {
  if (typeof options !== 'object' || options === null)
    throw invalidArgument('options', options, 'an object', { phase: 'join' });
  const unknown = Object.keys(options).find((key) => !OPTIONS.includes(key));
  if (unknown !== undefined)
    throw invalidArgument(`options.${unknown}`, 'a field', `absent: there are ${OPTIONS.join(', ')}`, {
      phase: 'join',
    });
  const { numMaxTokensPerRank = 1 } = options;
  checkInteger('options.numMaxTokensPerRank', numMaxTokensPerRank, 1, 2 ** 20 - 1, 'join');
}
