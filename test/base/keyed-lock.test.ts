// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { createKeyedLock } from "../../src/base/keyed-lock.ts";

/** Work that is recorded when it begins, and ends when it is told to. */
function work(seen: string[], name: string) {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const run = () => {
    seen.push(name);
    return promise;
  };
  return { run, end: () => resolve(name), fail: () => reject(new Error(name)) };
}

const settle = () => new Promise((resolve) => setImmediate(resolve));

test("work of one key runs in order, also after work that failed; other keys do not wait", async () => {
  const lock = createKeyedLock();
  const seen: string[] = [];
  const [a, b, other] = [work(seen, "a"), work(seen, "b"), work(seen, "other")];
  const first = lock.run("k", a.run);
  const second = lock.run("k", b.run);
  const third = lock.run("l", other.run);
  await settle();
  expect(seen).toEqual(["a", "other"]);
  a.fail();
  expect(await first.catch((e: Error) => e.message)).toBe("a");
  await settle();
  expect(seen).toEqual(["a", "other", "b"]);
  b.end();
  other.end();
  expect(await Promise.all([second, third])).toEqual(["b", "other"]);
});

test("who gives up waiting is told at once, and the next still waits for the first", async () => {
  const lock = createKeyedLock();
  const seen: string[] = [];
  const [a, b, c] = [work(seen, "a"), work(seen, "b"), work(seen, "c")];
  const cancel = new AbortController();
  const first = lock.run("k", a.run);
  const second = lock.run("k", b.run, cancel.signal);
  const third = lock.run("k", c.run);
  cancel.abort(new Error("canceled"));
  expect(await second.catch((e: Error) => e.message)).toBe("canceled");
  await settle();
  expect(seen).toEqual(["a"]);
  a.end();
  c.end();
  expect(await Promise.all([first, third])).toEqual(["a", "c"]);
  expect(seen).toEqual(["a", "c"]);
});
