// Fails when the tree breaks a rule of CONTRIBUTING.md: sizes of files, direction of includes, the list of sources.
import { readFileSync } from 'node:fs';
import { inRoot, sources } from './lib/paths.mjs';
import { faultsOf, nativeSources } from './lib/structure.mjs';

const files = sources(['src', 'native', 'scripts', 'test', 'examples', 'bench'], /\.(ts|mjs|cc|h)$/);
const read = (file) => readFileSync(inRoot(file), 'utf8');
const faults = files.flatMap((file) => faultsOf(file, read(file)).map((fault) => `${file} ${fault}`));

const listed = read('native/sources.txt').trim().split('\n');
const actual = nativeSources(files);
for (const file of actual.filter((file) => !listed.includes(file)))
  faults.push(`native/sources.txt lacks ${file}: node scripts/list-sources.mjs > native/sources.txt`);
for (const file of listed.filter((file) => !actual.includes(file)))
  faults.push(`native/sources.txt names ${file}, which does not exist`);
if (faults.length === 0 && listed.join() !== actual.join()) faults.push('native/sources.txt is not sorted');

for (const fault of faults) console.error(fault);
console.error(`${files.length} files checked, ${faults.length} faults`);
process.exitCode = faults.length === 0 ? 0 : 1;
