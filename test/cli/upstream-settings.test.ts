// SPDX-License-Identifier: AGPL-3.0-or-later
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { main } from "../../src/cli/main.ts";
import { resolveSettings } from "../../src/cli/settings.ts";
import { upstreamFrom } from "../../src/cli/upstream-settings.ts";
import { makeCertificate } from "../registry/certificate.ts";
import { FakeTerminal } from "./fake-terminal.ts";

let directory: string;
let cert: string;
const file = (name: string) => join(directory, name);

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "prov-upstream-"));
  await Bun.write(file("password"), "correct horse\n");
  await Bun.write(file("empty"), "\n");
  ({ cert } = await makeCertificate());
  await Bun.write(file("ca.pem"), cert);
  await Bun.write(
    file("key.pem"),
    "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
  );
  await Bun.write(file("damaged.pem"), cert + cert.replace(/^MI/m, "XX"));
});
afterAll(() => rm(directory, { recursive: true }));

const from = (flags: Record<string, string>) =>
  upstreamFrom(resolveSettings(flags, {}, undefined), new FakeTerminal());

describe("the upstream registry's settings", () => {
  test("no upstream, no mirror", async () => {
    expect(await from({})).toEqual({});
  });

  test("a URL alone is enough", async () => {
    expect(await from({ registry_upstream: "https://central:8443/" })).toEqual({
      registryUpstream: {
        registry: "https://central:8443",
        prefix: "",
        authorization: null,
        ca: null,
        ttl: 300_000 as never,
        repositories: ["**"],
      },
    });
  });

  test("all of them", async () => {
    const { registryUpstream } = await from({
      registry_upstream: "https://central:8443/site-a/cache",
      registry_upstream_user: "site-a",
      registry_upstream_password_file: file("password"),
      registry_upstream_ca_file: file("ca.pem"),
      registry_upstream_ttl: "30s",
      registry_upstream_repositories: "os/*, tools/**",
    });
    expect(registryUpstream).toEqual({
      registry: "https://central:8443",
      prefix: "site-a/cache",
      authorization: `Basic ${btoa("site-a:correct horse")}`,
      ca: cert,
      ttl: 30_000 as never,
      repositories: ["os/*", "tools/**"],
    });
  });

  test.each([
    ["no URL", { registry_upstream: "central:8443" }],
    ["a password in the URL", { registry_upstream: "https://a:b@central" }],
    ["two registries", { registry_upstream: "https://a,https://b" }],
    ["a prefix that is none", { registry_upstream: "https://central/Site A" }],
    ["a user without a password", { registry_upstream: "https://c", registry_upstream_user: "u" }],
  ])("R52: %s is refused", async (_what, flags) => {
    await expect(from(flags)).rejects.toMatchObject({ code: "CONFIG_INVALID" });
  });

  test.each([
    ["empty", "it has no certificate"],
    ["key.pem", "it has no certificate"],
    ["damaged.pem", "a certificate in it is damaged"],
  ])("a CA file that is %s is refused, before a server seems to be down", async (name, why) => {
    const flags = { registry_upstream: "https://c", registry_upstream_ca_file: file(name) };
    await expect(from(flags)).rejects.toMatchObject({
      code: "USAGE",
      message: `Cannot use ${file(name)}: ${why}`,
    });
  });

  test("R52: an empty password file is refused", async () => {
    const flags = {
      registry_upstream: "https://c",
      registry_upstream_user: "u",
      registry_upstream_password_file: file("empty"),
    };
    await expect(from(flags)).rejects.toMatchObject({ code: "CONFIG_INVALID" });
  });
});

test("R53: prov serve --check shows the upstream without its password, and refuses it over plain HTTP", async () => {
  const flags = (url: string) => [
    "serve",
    "--check",
    `--storage-root=${directory}`,
    `--registry-upstream=${url}`,
    "--registry-upstream-user=site-a",
    `--registry-upstream-password-file=${file("password")}`,
  ];
  const terminal = new FakeTerminal();
  expect(await main(flags("https://central:8443/site-a"), terminal)).toBe(0);
  const shown = terminal.outLines.join("\n");
  expect(shown).toMatch(/registry_upstream +https:\/\/central:8443\/site-a/);
  expect(shown).toMatch(/registry_upstream_ttl +5m/);
  expect(shown).not.toContain("correct horse");
  const refused = new FakeTerminal();
  expect(await main(flags("http://central:8080"), refused)).toBe(2);
  expect(refused.errLines.join("\n")).toContain("in the clear");
  expect(await main([...flags("http://central:8080"), "--dev"], new FakeTerminal())).toBe(0);
});
