// SPDX-License-Identifier: AGPL-3.0-or-later
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { main } from "../../src/cli/main.ts";
import { FakeTerminal } from "./fake-terminal.ts";

const DIRECTORY = mkdtempSync(join(tmpdir(), "prov-serve-"));
afterAll(() => rmSync(DIRECTORY, { recursive: true }));

const flags = (storage: string, api = "127.0.0.1:0", media = "127.0.0.1:0") => [
  "serve",
  `--storage-root=${join(DIRECTORY, storage)}`,
  `--http-addr=${api}`,
  `--media-addr=${media}`,
];

/** Starts `prov serve` in this process, and waits until it says where it listens. */
async function started(storage: string) {
  const terminal = new FakeTerminal();
  const ended = main(flags(storage), terminal);
  const url = () => / listens on (\S+)/.exec(terminal.outLines.join("\n"))?.[1];
  while (url() === undefined && terminal.errLines.every((line) => !line.startsWith("prov:"))) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  return {
    terminal,
    url: url() ?? "",
    stop(): Promise<number> {
      terminal.stop.abort(new DOMException("Stopped by SIGTERM", "AbortError"));
      return ended;
    },
  };
}

describe("prov serve", () => {
  test("shows the first password once, works, and stops when it is asked to (R52)", async () => {
    const first = await started("once");
    const password = /password: (\S+)/.exec(first.terminal.outLines.join("\n"))?.[1] ?? "";
    const env = { PROV_URL: first.url, PROV_USER: "admin", PROV_PASSWORD: password };
    const client = new FakeTerminal({ env });
    expect(await main(["user", "list"], client)).toBe(0);
    expect(client.outLines.join("\n")).toContain("admin");
    expect(first.terminal.errLines.join("\n")).not.toContain(password);
    expect(await first.stop()).toBe(0);
    expect(await main(["user", "list"], new FakeTerminal({ env }))).toBe(5);

    const second = await started("once");
    expect(second.terminal.outLines.join("\n")).not.toContain("password");
    expect(await second.stop()).toBe(0);
    expect(statSync(join(DIRECTORY, "once")).mode & 0o777).toBe(0o700);
    expect(statSync(join(DIRECTORY, "once/prov.key")).mode & 0o777).toBe(0o600);
  });

  test.each(["API", "media"])(
    "lets go of everything when the port for %s is taken",
    async (which) => {
      using other = Bun.serve({
        port: 0,
        hostname: "127.0.0.1",
        fetch: () => new Response("other"),
      });
      const taken = `127.0.0.1:${other.port}`;
      const terminal = new FakeTerminal();
      const argv = which === "API" ? flags(which, taken) : flags(which, "127.0.0.1:0", taken);
      expect(await main(argv, terminal)).toBe(2);
      expect(terminal.outLines).toEqual([]);
      expect(terminal.errLines.at(-1)).toStartWith(`prov: Cannot listen on ${taken}: `);
      // The database and the listeners are free again.
      const next = await started(which);
      expect(next.url).toStartWith("http://");
      expect(await next.stop()).toBe(0);
    },
  );

  test("says when its storage is not a directory", async () => {
    await Bun.write(join(DIRECTORY, "file"), "");
    const terminal = new FakeTerminal();
    expect(await main(flags("file"), terminal)).toBe(2);
    expect(terminal.errLines).toEqual([
      `prov: Cannot use ${join(DIRECTORY, "file")}: something else is there`,
    ]);
  });
});
