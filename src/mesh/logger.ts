/** Where a coordinator tells what happens: any logger of pino's shape, and `console` with the objects first. */
export interface Logger {
  debug(facts: object, message: string): void;
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
}

export const silent: Logger = { debug: () => {}, info: () => {}, warn: () => {} };
