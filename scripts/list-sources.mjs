// Prints native/sources.txt anew: every .cc under native/ that belongs to the library or the binding.
import { readdirSync } from 'node:fs';

const files = readdirSync('native', { recursive: true })
  .map(String)
  .filter((file) => file.endsWith('.cc') && !/^(test|bench|fuzz)\//.test(file))
  .sort();
for (const file of files) console.log(`native/${file}`);
