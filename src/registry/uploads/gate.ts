// SPDX-License-Identifier: AGPL-3.0-or-later

/** Runs at most `limit` tasks at a time; the others wait in order. */
export interface Gate {
  /** @param task may give its place up before its end by calling `leave`. */
  run<T>(task: (leave: () => void) => Promise<T>): Promise<T>;
}

export function createGate(limit: number): Gate {
  let active = 0;
  const waiting: (() => void)[] = [];

  function createLeave(): () => void {
    let isInside = true;
    return () => {
      if (!isInside) return;
      isInside = false;
      const next = waiting.shift();
      // The place is handed over, so that nobody slips in between.
      if (next === undefined) active--;
      else next();
    };
  }

  return {
    async run(task) {
      if (active >= limit) await new Promise<void>((resolve) => waiting.push(resolve));
      else active++;
      const leave = createLeave();
      try {
        return await task(leave);
      } finally {
        leave();
      }
    },
  };
}
