import { buildPackage, buildPrograms } from '../typescript.mjs';

export async function types(tally) {
  if (await tally.check('src', buildPackage)) await tally.check('examples and test', buildPrograms);
  else tally.skip('examples and test: the types of src are needed first');
}
