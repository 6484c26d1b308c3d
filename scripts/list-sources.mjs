// Prints native/sources.txt anew: every .cc under native/ that belongs to the library or the binding.
import { sources } from './lib/paths.mjs';
import { nativeSources } from './lib/structure.mjs';

for (const file of nativeSources(sources(['native'], /\.cc$/))) console.log(file);
