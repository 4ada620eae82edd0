// SPDX-License-Identifier: AGPL-3.0-or-later
import { afterAll, beforeAll } from "bun:test";
import { type Served, serveRegistry } from "../served.ts";
import type { Ask } from "./pushing.ts";

export interface OneServer {
  readonly ask: Ask;
  /** A repository that no other test knows. */
  fresh(): string;
  served(): Served;
}

/** One registry for all tests of a file: each works in repositories of its own. */
export function oneServer(options: Parameters<typeof serveRegistry>[0] = {}): OneServer {
  let served: Served | undefined;
  let count = 0;
  beforeAll(async () => {
    served = await serveRegistry(options);
  });
  afterAll(async () => await served?.[Symbol.asyncDispose]());
  const current = () => {
    if (served === undefined) throw new Error("the registry is not up yet");
    return served;
  };
  return {
    ask: (...args) => current().ask(...args),
    fresh: () => `repository/${count++}`,
    served: current,
  };
}
