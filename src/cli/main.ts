#!/usr/bin/env node
/** `weft`: runs, measures and diagnoses tensorweft. Results go to stdout, everything else to stderr. */
import { errorLine } from './error-line.js';
import { createProgram } from './program.js';

// A reader that has seen enough (`weft info | head -1`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

try {
  const program = await createProgram(process.argv.includes('bench'));
  await program.parseAsync();
} catch (error) {
  console.error(errorLine(error));
  process.exitCode = 1;
}
