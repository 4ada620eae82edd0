// SPDX-License-Identifier: AGPL-3.0-or-later
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeError, ProvError } from "../../src/base/errors.ts";
import { millis } from "../../src/base/units.ts";
import { openBmc } from "../../src/redfish/bmc.ts";
import { type BmcTls, readFingerprint } from "../../src/redfish/tls.ts";
import { FakeBmc, PASSWORD, SERIAL, USER } from "./fake-bmc.ts";
import { personality } from "./personalities.ts";
import { setUp } from "./set-up.ts";

/** A BMC over real TLS, with a certificate like those BMCs are shipped with. */
let folder: string;
let server: Bun.Server<undefined>;
let fake: FakeBmc;
let fingerprint: string;
let url: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "prov-tls-"));
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  await openssl(
    "req",
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:prime256v1",
    "-nodes",
    "-keyout",
    key,
    "-out",
    cert,
    "-subj",
    "/CN=bmc",
    "-days",
    "1",
  );
  const text = await openssl("x509", "-in", cert, "-noout", "-fingerprint", "-sha256");
  fingerprint = text.trim().split("=")[1] ?? "";
  server = Bun.serve({
    port: 0,
    tls: { key: Bun.file(key), cert: Bun.file(cert) },
    fetch: async (request) => {
      const body = request.method === "GET" ? null : await request.text();
      const { method, headers } = request;
      return fake.fetch(request.url, { method, headers, ...(body && { body }) });
    },
  });
  url = `https://127.0.0.1:${server.port}`;
});

afterAll(async () => {
  await server.stop(true);
  await rm(folder, { recursive: true });
});

async function openssl(...args: string[]): Promise<string> {
  const child = Bun.spawn(["openssl", ...args], { stdout: "pipe", stderr: "pipe" });
  const [out, errors] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  if ((await child.exited) !== 0) throw new Error(errors);
  return out;
}

async function probe(tls: BmcTls): Promise<unknown> {
  fake = new FakeBmc(personality("Supermicro"), () => 0);
  const { fetch } = globalThis;
  const { deps } = setUp();
  const bmc = openBmc(
    { url, username: USER, password: PASSWORD, tls },
    { ...deps, fetch, readFingerprint },
  );
  try {
    const capabilities = await bmc.probe(SERIAL);
    await bmc.powerOn();
    return capabilities;
  } catch (error) {
    return error;
  } finally {
    await bmc.close();
  }
}

test("R27: a certificate that no CA signed is not trusted by default, and nothing is sent", async () => {
  const error = await probe({ mode: "verify" });
  expect(error).toBeInstanceOf(ProvError);
  expect(error).toMatchObject({ code: "BMC_UNTRUSTED" });
  expect(fake.seen).toEqual([]);
});

test("R27: the pinned certificate is trusted, however its fingerprint is written", async () => {
  const plain = fingerprint.replaceAll(":", "").toLowerCase();
  for (const written of [fingerprint, plain]) {
    expect(await probe({ mode: "pinned", fingerprint: written })).toMatchObject({
      model: "R2",
      tlsFingerprint: plain,
    });
    expect(fake.sessions.size).toBe(0);
  }
});

test("R27: another certificate than the pinned one raises an alarm before anything is sent", async () => {
  const error = await probe({ mode: "pinned", fingerprint: "00".repeat(32) });
  expect(error).toMatchObject({ code: "BMC_UNTRUSTED" });
  expect(describeError(error)).toBe(
    `Cannot trust the BMC at ${url}: it shows another certificate than the pinned one (SHA-256 ${fingerprint.replaceAll(":", "").toLowerCase()})`,
  );
  expect(fake.seen).toEqual([]);
});

test("a pinned BMC that accepts and says nothing is left after the request's timeout", async () => {
  fake = new FakeBmc(personality("Supermicro"), () => 0);
  fake.fault = () => "hang";
  const { deps } = setUp();
  const bmc = openBmc(
    { url, username: USER, password: PASSWORD, tls: { mode: "pinned", fingerprint } },
    { ...deps, requestTimeout: millis(50) },
  );
  expect(await bmc.probe(SERIAL).catch((e) => e)).toMatchObject({ code: "BMC_UNREACHABLE" });
});

test("R27: insecure is possible when asked for, and records the certificate", async () => {
  expect(await probe({ mode: "insecure" })).toMatchObject({
    tlsFingerprint: fingerprint.replaceAll(":", "").toLowerCase(),
  });
});

test("plain HTTP is only spoken when the server is marked insecure", () => {
  expect(() => setUp("Supermicro", { address: { url: "http://bmc.test" } })).toThrow(
    "Cannot trust the BMC at http://bmc.test: plain HTTP has no certificate",
  );
});

test("an unreachable host has no fingerprint", async () => {
  const free = Bun.serve({ port: 0, fetch: () => new Response() });
  const { port } = free;
  await free.stop(true);
  const error = await readFingerprint(`https://127.0.0.1:${port}`).catch((e) => e);
  expect(error).toMatchObject({ code: "BMC_UNREACHABLE" });
});
