import { availableParallelism, cpus, release, totalmem, type } from 'node:os';
import { isWeftError } from '../errors.js';
import { PROTOCOL_VERSION } from '../mesh/limits.js';
import type { RdmaDevice, UcxOffer } from '../native.js';
import { oneLine } from './error-line.js';
import { type LoadedAddon, loadAddon } from './load-addon.js';
import { machine } from './machine.js';
import { packageVersion } from './package-version.js';

/** `weft info --json`. */
export interface Info {
  version: string;
  addon: { path: string; compiler: string; simd: string; isa: string } | { error: string };
  node: { version: string; napi: number };
  machine: {
    cpu: string;
    arch: string;
    /** Logical cores of the machine. */
    cores: number;
    /** Those that this process may run on. */
    usableCores: number;
    memoryBytes: number;
    availableBytes: number;
    kernel: string;
  };
  transports: TransportFacts[];
  /** RDMA devices with ports, GIDs and limits, or why there can't be any. */
  rdma: { devices: RdmaDevice[]; why?: string };
  /** What UCX could use here, or why there is none. */
  ucx: UcxOffer | { why: string };
  /** Versions; both ends must have the same. `frame` is the addon's. */
  protocols: { frame: number | undefined; control: number };
}

export interface TransportFacts {
  name: string;
  usable: boolean;
  sharesMemory: boolean;
  /** How peers come by published rows. */
  rows: string;
  /** Why it cannot be used here. */
  unavailable?: string;
}

export async function collectInfo(): Promise<Info> {
  const addon = await tryAddon();
  const native = 'native' in addon ? addon.native : undefined;
  const info = native?.info();
  return {
    version: packageVersion(),
    addon:
      'error' in addon
        ? addon
        : { path: addon.path, compiler: info!.compiler, simd: info!.simd, isa: info!.isa },
    node: { version: process.version, napi: Number(process.versions.napi) },
    machine: {
      cpu: cpus()[0]?.model.trim() ?? 'unknown',
      arch: process.arch,
      cores: cpus().length,
      usableCores: info?.cores ?? availableParallelism(),
      memoryBytes: totalmem(),
      availableBytes: machine.memory('MemAvailable') ?? 0,
      kernel: `${type()} ${release()}`,
    },
    transports: (info?.transports ?? []).map(({ name, sharesMemory }) => {
      const unavailable = native!.unavailable(name);
      return {
        name,
        usable: unavailable === '',
        sharesMemory,
        rows: sharesMemory ? 'read in place, no copies' : 'written into memory of the peer, one copy',
        ...(unavailable === '' ? {} : { unavailable }),
      };
    }),
    rdma: rdmaFacts(native?.rdmaDevices() ?? 'the addon does not load'),
    ucx: ucxFacts(native?.ucxOffer() ?? 'the addon does not load'),
    protocols: { frame: info?.frameVersion, control: PROTOCOL_VERSION },
  };
}

function rdmaFacts(found: RdmaDevice[] | string): Info['rdma'] {
  return typeof found === 'string' ? { devices: [], why: found } : { devices: found };
}

function ucxFacts(found: UcxOffer | string): Info['ucx'] {
  return typeof found === 'string' ? { why: found } : found;
}

async function tryAddon(): Promise<LoadedAddon | { error: string }> {
  try {
    return await loadAddon();
  } catch (error) {
    if (isWeftError(error, 'WEFT_UNAVAILABLE')) return { error: oneLine(error.message) };
    throw error;
  }
}
