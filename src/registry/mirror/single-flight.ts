// SPDX-License-Identifier: AGPL-3.0-or-later

/** Work that many want at the same time and that is done once for all of them. */
export interface SingleFlight {
  /** Joins the work of this key that is under way, or begins it. */
  run<T>(key: string, work: () => Promise<T>): Promise<T>;
}

export function createSingleFlight(): SingleFlight {
  const flights = new Map<string, Promise<unknown>>();
  return {
    run<T>(key: string, work: () => Promise<T>): Promise<T> {
      const flying = flights.get(key);
      // A key stands for one kind of work.
      if (flying !== undefined) return flying as Promise<T>;
      const flight = work().finally(() => flights.delete(key));
      flights.set(key, flight);
      return flight;
    },
  };
}
