import fc from 'fast-check';

/** fp32 values: ordinary ones, and all the special ones. */
export const fp32 = (): fc.Arbitrary<number> =>
  fc.oneof(
    { weight: 6, arbitrary: fc.float({ noNaN: true, min: -1000, max: 1000 }) },
    { weight: 2, arbitrary: fc.float() },
    fc.constantFrom(
      0,
      -0,
      1e-45,
      -1e-45,
      1.1754942e-38,
      3.4028235e38,
      -3.4028235e38,
      Infinity,
      -Infinity,
      NaN,
    ),
  );

/** Those that FP8 quantisation takes without marking them as not a number. */
export const finite = (): fc.Arbitrary<number> =>
  fc.oneof(
    { weight: 6, arbitrary: fc.float({ noNaN: true, min: -500, max: 500 }) },
    { weight: 1, arbitrary: fc.float({ noNaN: true, noDefaultInfinity: true }) },
    fc.constantFrom(0, -0, 1e-45, -1e-30, 448, 464),
  );
