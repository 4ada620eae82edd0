// SPDX-License-Identifier: AGPL-3.0-or-later
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { makeCertificate } from "../certificate.ts";
import { everything, type Served, serveRegistry } from "../served.ts";
import type { Ask } from "./pushing.ts";
import { makeShapes } from "./shapes.ts";
import { walk } from "./walk.ts";

const BASIC = `Basic ${btoa("maker:correct horse")}`;

/** Whoever shows the password may do everything; the others nothing. */
const accessOf = (request: Request) =>
  request.headers.get("authorization") === BASIC
    ? everything
    : { identity: "anonymous", may: () => false };

/** As clients do it: without credentials first, and again with them when asked for them. */
function challenged({ ask }: Served): Ask {
  return async (method, path, init) => {
    // A stream cannot be sent twice.
    const isStream = init?.body instanceof ReadableStream;
    if (!isStream) {
      const first = await ask(method, path, init);
      expect(first.status).toBe(401);
      expect(first.headers.get("www-authenticate")).toStartWith("Basic ");
      await first.bytes();
    }
    const headers = new Headers(init?.headers);
    headers.set("authorization", BASIC);
    return await ask(method, path, { ...init, headers });
  };
}

describe.each([
  { name: "over HTTP", isProtected: false },
  { name: "over TLS, with a login asked for at each request", isProtected: true },
])(
  "R48: $name, pushed in every way, listed, pulled, referred to and deleted:",
  ({ isProtected }) => {
    let served: Served;
    let ask: Ask;
    beforeAll(async () => {
      served = isProtected
        ? await serveRegistry({ tls: await makeCertificate(), accessOf })
        : await serveRegistry();
      ask = isProtected ? challenged(served) : served.ask;
    });
    afterAll(async () => {
      await served[Symbol.asyncDispose]();
    });

    for (const [i, { name, content, hasTagParameters }] of makeShapes().entries()) {
      test(name, async () => {
        await walk({ ask, repository: `shapes/${i}`, content, hasTagParameters });
      }, 60_000);
    }
  },
);
