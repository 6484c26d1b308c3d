import { createRequire } from 'node:module';
import type { NativeInfo, RdmaDevice } from '../native.js';

export interface LoadedAddon {
  /** The file that it was loaded from. */
  path: string;
  info: NativeInfo;
  /** RDMA devices, or why there can't be any. */
  rdma: RdmaDevice[] | string;
}

/** Loads the addon the way the library does. @throws WeftError WEFT_UNAVAILABLE with everything that was tried */
export async function loadAddon(): Promise<LoadedAddon> {
  const { native } = await import('../native.js');
  const { cache } = createRequire(import.meta.url);
  const path = Object.keys(cache).find((file) => file.endsWith('.node') && cache[file]?.exports === native);
  return { path: path ?? 'unknown', info: native.info(), rdma: native.rdmaDevices() };
}
