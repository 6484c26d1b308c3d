/**
 * Listeners by event name. A listener that throws is a fault of the program that added it: the error is thrown again
 * from a task of its own, as an uncaught exception, and neither the other listeners nor the mesh notice.
 */
export class Listeners<Events extends object> {
  readonly #byName: Map<keyof Events, Set<(event: never) => void>> = new Map();

  /** Returns the function that takes the listener away again. */
  add<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): () => void {
    // Wrapped, so that the same function added twice is two listeners.
    const entry = (event: Events[Name]): void => listener(event);
    const set = this.#byName.get(name) ?? new Set();
    this.#byName.set(name, set.add(entry));
    return () => {
      set.delete(entry);
    };
  }

  emit<Name extends keyof Events>(name: Name, event: Events[Name]): void {
    for (const listener of [...(this.#byName.get(name) ?? [])]) call(listener, event as never);
  }

  clear(): void {
    this.#byName.clear();
  }
}

/** Calls a listener of the program's; what it throws becomes an uncaught exception. */
export function call<Event>(listener: (event: Event) => void, event: Event): void {
  try {
    listener(event);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
