import { conformance } from 'tensorweft/testing';
import { describe, it } from 'vitest';
import { everyTransport } from '../support/transports.js';

describe.each(everyTransport)('%s', (transport) => {
  for (const { name, run } of conformance({ transport })) it(name, run);
});
