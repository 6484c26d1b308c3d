import { conformance } from 'tensorweft/testing';
import { describe, it } from 'vitest';

describe.each(['loopback', 'shm', 'tcp'] as const)('%s', (transport) => {
  for (const { name, run } of conformance({ transport })) it(name, run);
});
