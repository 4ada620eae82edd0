// SPDX-License-Identifier: AGPL-3.0-or-later
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { main } from "../../src/cli/main.ts";
import { FakeTerminal } from "./fake-terminal.ts";

const DIRECTORY = mkdtempSync(join(tmpdir(), "prov-settings-"));
afterAll(() => rmSync(DIRECTORY, { recursive: true }));

let files = 0;

interface Given {
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly file?: string;
}

/** `prov serve --check` with this. */
async function check({ flags = [], env = {}, file }: Given) {
  const terminal = new FakeTerminal({ env });
  const config: string[] = [];
  if (file !== undefined) {
    const path = join(DIRECTORY, `prov-${++files}.yaml`);
    await Bun.write(path, file);
    config.push("--config", path);
  }
  const code = await main(["serve", "--check", "--json", ...config, ...flags], terminal);
  const out = terminal.outLines.join("\n");
  return {
    code,
    out,
    settings: code === 0 ? JSON.parse(out) : {},
    err: terminal.errLines.join("\n"),
  };
}

describe("prov serve --check", () => {
  test("a flag wins over the environment, and the environment over the file", async () => {
    const file = "redfish_timeout: 1s\ncheck_in_timeout: 1m\nworker_concurrency: 1\n";
    const env = { REDFISH_TIMEOUT: "2s", CHECK_IN_TIMEOUT: "2m" };
    const { code, settings } = await check({ flags: ["--redfish-timeout", "3s"], env, file });
    expect(code).toBe(0);
    expect(settings).toMatchObject({
      redfish_timeout: "3s",
      check_in_timeout: "2m",
      worker_concurrency: "1",
      http_addr: "127.0.0.1:8080",
      tls_cert_file: "-",
    });
  });

  test("prints a table for people", async () => {
    const terminal = new FakeTerminal();
    expect(await main(["serve", "--check"], terminal)).toBe(0);
    const lines = terminal.outLines.join("\n").split("\n");
    expect(lines[0]).toMatch(/^SETTING +VALUE$/);
    expect(lines.every((line) => /^\S+ +\S/.test(line))).toBe(true);
  });

  test("takes a list, also from YAML, and an empty variable for none", async () => {
    const file = "public_urls:\n  - http://10.0.0.1:8080\n  - http://10.0.0.2:8080\ndev: true\n";
    const { settings } = await check({ file, env: { PUBLIC_URL: "", WORKER_CONCURRENCY: "" } });
    expect(settings.public_urls).toBe("http://10.0.0.1:8080,http://10.0.0.2:8080");
    expect(settings.dev).toBe("true");
    expect(settings.worker_concurrency).toBe("4");
  });

  test("says of a secret only that there is one", async () => {
    const env = { SIGNED_URL_SECRET: "CANARY-0123456789" };
    const { code, out, settings } = await check({ env });
    expect(code).toBe(0);
    expect(settings.signed_url_secret).toBe("(set)");
    expect(out).not.toContain("CANARY");
    const short = await check({ env: { SIGNED_URL_SECRET: "CANARY" } });
    expect(short.code).toBe(2);
    expect(short.err).not.toContain("CANARY");
  });

  test.each<{ what: string; given: Given; err: RegExp }>([
    {
      what: "an unknown key",
      given: { file: "storage_rot: /x\n" },
      err: /unknown key "storage_rot"\n {2}Known keys are http_addr, /,
    },
    {
      what: "a file that is no list of settings",
      given: { file: "just words" },
      err: /it is not a list of settings/,
    },
    { what: "a file that is not YAML", given: { file: "a: [1\nb: }" }, err: /it is not YAML/ },
    {
      what: "a file that is not there",
      given: { flags: ["--config", "/nonexistent.yaml"] },
      err: /^prov: Cannot read \/nonexistent\.yaml: there is no such file$/,
    },
    {
      what: "a duration without a unit",
      given: { env: { REDFISH_TIMEOUT: "30" } },
      err: /redfish_timeout: "30" is not a duration such as 30s, 10m or 4h/,
    },
    {
      what: "a number that is none",
      given: { flags: ["--worker-concurrency=-1"] },
      err: /worker_concurrency: "-1" is not a whole number/,
    },
    {
      what: "an address without a port",
      given: { flags: ["--http-addr", "127.0.0.1"] },
      err: /http_addr: "127\.0\.0\.1" is not an address such as 0\.0\.0\.0:8080/,
    },
    {
      what: "a port that is too high",
      given: { flags: ["--http-addr", "127.0.0.1:80800"] },
      err: /is not an address/,
    },
    {
      what: "a switch that is neither",
      given: { env: { PROV_DEV: "maybe" } },
      err: /dev: "maybe" is not true or false/,
    },
    {
      what: "a log level that is none",
      given: { env: { LOG_LEVEL: "loud" } },
      err: /log_level: "loud" is not one of debug, info, warn, error/,
    },
    {
      what: "a URL that is none",
      given: { env: { PUBLIC_URL: "10.0.0.1:8080" } },
      err: /public_urls: "10\.0\.0\.1:8080" is not a URL/,
    },
    {
      what: "HTTPS without a certificate",
      given: { flags: ["--https-addr", "0.0.0.0:8443"] },
      err: /without a certificate and its key\n {2}Set tls_cert_file and tls_key_file/,
    },
    {
      what: "a certificate that is not there",
      given: {
        flags: ["--https-addr", ":8443", "--tls-cert-file", "/nope", "--tls-key-file", "/nope"],
      },
      err: /Cannot read \/nope: there is no such file/,
    },
    {
      what: "a maintenance ISO that is not there",
      given: { env: { MAINTENANCE_ISO_URL: "file:///nope.iso" } },
      err: /maintenance ISO \/nope\.iso: there is no such file\n {2}Build it with/,
    },
    {
      what: "passwords in the clear over a network",
      given: { flags: ["--http-addr", "0.0.0.0:8080"] },
      err: /would carry passwords in the clear/,
    },
  ])("refuses $what (R52, exit code 2)", async ({ given, err }) => {
    const ran = await check(given);
    expect(ran).toMatchObject({ code: 2, out: "" });
    expect(ran.err).toMatch(err);
  });
});
