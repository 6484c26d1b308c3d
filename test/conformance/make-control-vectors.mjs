// Writes vectors/control.json. Run it after a deliberate change of the protocol, and read the difference:
//   node test/conformance/make-control-vectors.mjs
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { runnerImport } from 'vite';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const { module } = await runnerImport(here('./control-vectors.ts'));
mkdirSync(here('./vectors'), { recursive: true });
writeFileSync(here('./vectors/control.json'), `${JSON.stringify(module.controlVectors(), null, 2)}\n`);
