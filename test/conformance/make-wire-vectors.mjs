// Writes vectors/wire.json. Run it after a deliberate change of the protocol, and read the difference:
//   node test/conformance/make-wire-vectors.mjs
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { runnerImport } from 'vite';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const { module } = await runnerImport(here('./wire-vectors.ts'));
mkdirSync(here('./vectors'), { recursive: true });
writeFileSync(here('./vectors/wire.json'), `${JSON.stringify(module.wireVectors(), null, 2)}\n`);
