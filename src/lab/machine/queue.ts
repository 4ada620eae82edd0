// SPDX-License-Identifier: AGPL-3.0-or-later

/** Runs what it is given one after the other, in order; a failure is its caller's and stops nothing. */
export function createQueue(): <T>(work: () => Promise<T>) => Promise<T> {
  let tail: Promise<unknown> = Promise.resolve();
  return (work) => {
    const result = tail.then(work);
    tail = result.catch(() => undefined);
    return result;
  };
}
