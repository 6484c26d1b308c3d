import { createRequire } from 'node:module';
import type { NativeAddon } from '../native.js';

export interface LoadedAddon {
  /** The file that it was loaded from. */
  path: string;
  native: NativeAddon;
}

/** Loads the addon the way the library does. @throws WeftError WEFT_UNAVAILABLE with everything that was tried */
export async function loadAddon(): Promise<LoadedAddon> {
  const { native } = await import('../native.js');
  const { cache } = createRequire(import.meta.url);
  const path = Object.keys(cache).find((file) => file.endsWith('.node') && cache[file]?.exports === native);
  return { path: path ?? 'unknown', native };
}
