import { isWeftError } from '../../errors.js';
import { oneLine } from '../error-line.js';
import { loadAddon } from '../load-addon.js';
import { fail, ok, type Probe, warn } from './probe.js';

/** Everything stands on the addon. */
export const addonProbe: Probe = {
  name: 'addon',
  async look() {
    try {
      const { path, native } = await loadAddon();
      const info = native.info();
      const text = `${path} (${info.compiler}, kernels ${info.isa})`;
      if (info.isa !== 'scalar') return ok(text);
      const fix = 'apt-get install libhwy-dev && npm run build';
      return info.simd === 'scalar' ? warn(`${text}: built without SIMD`, fix) : ok(text);
    } catch (error) {
      if (!isWeftError(error, 'WEFT_UNAVAILABLE')) throw error;
      return fail(oneLine(error.message), 'npm run build');
    }
  },
};
