/** Rules about the tree that no compiler knows. Pure functions of file names and texts, so that tests can feed them. */

const MOST_LINES = 500;

/** Each folder of native/ and what it may include: dependencies point downward only. */
const LAYERS = {
  core: [],
  kernels: ['core'],
  memory: ['core'],
  wire: ['core'],
  transport: ['core', 'memory', 'wire'],
  exchange: ['core', 'memory', 'wire', 'kernels', 'transport'],
  pages: ['core', 'memory', 'wire', 'kernels', 'transport'],
  bench: ['core', 'memory', 'wire', 'kernels', 'transport', 'exchange', 'pages'],
  binding: ['core', 'memory', 'wire', 'kernels', 'transport', 'exchange', 'pages', 'bench'],
};

/** What is wrong with one file, as sentences without its name. */
export function faultsOf(file, text) {
  const lines = text.split('\n').length - (text.endsWith('\n') ? 1 : 0);
  const faults =
    lines > MOST_LINES ? [`has ${lines} lines, at most ${MOST_LINES} are allowed: split it`] : [];
  return file.startsWith('native/') ? [...faults, ...includeFaults(file, text)] : faults;
}

function includeFaults(file, text) {
  const layer = file.split('/')[1];
  const included = [...text.matchAll(/^\s*#\s*include\s*[<"]([^>"]+)[>"]/gm)].map(([, path]) => path);
  const faults = [];
  if (layer !== 'binding' && included.some((path) => /^(napi|node_api|js_native_api)\.h$/.test(path)))
    faults.push('includes the Node-API: only native/binding may');
  const allowed = LAYERS[layer];
  // Tests and fuzzers see everything.
  if (allowed === undefined) return faults;
  for (const path of included) {
    const of = path.split('/')[0];
    if (of !== layer && of in LAYERS && path.includes('/') && !allowed.includes(of))
      faults.push(
        `includes ${path}: native/${layer} may use ${allowed.join(', ') || 'nothing of ours'} only`,
      );
  }
  return faults;
}

/** native/sources.txt as it must be: every .cc of the library and the binding, sorted. */
export function nativeSources(files) {
  return files.filter((file) => /^native\/(?!test\/|fuzz\/).*\.cc$/.test(file)).sort();
}
