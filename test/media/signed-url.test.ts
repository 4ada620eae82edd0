// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { signedMediaPath, signMediaUrl, verifyMediaUrl } from "../../src/media/signed-url.ts";

const SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
const JOB = "0190b5c2-7d3e-7abc-8def-0123456789ab";
const EXPIRES = 1_700_000_000;
const MEDIUM = { jobId: JOB, expires: EXPIRES, sha256: SHA256 };
const URL_NOW = signMediaUrl(MEDIUM, "new secret");
const BEFORE = EXPIRES * 1000 - 1;

function verdict(change: {
  url?: string;
  secrets?: readonly string[];
  now?: number;
  jobId?: string;
  sha256?: string;
}): string {
  const { url = URL_NOW, secrets = ["new secret"], now = BEFORE } = change;
  const medium = { jobId: change.jobId ?? JOB, sha256: change.sha256 ?? SHA256 };
  const query = new URL(url, "http://media.test").searchParams;
  const result = verifyMediaUrl(medium, query, secrets, now);
  return result.ok ? "ok" : result.reason;
}

test("R19 the signature is HMAC-SHA256 over method, path, expiry and content", () => {
  const text = `GET\n/media/tasks/${JOB}/task.iso\n${EXPIRES}\n${SHA256}`;
  const hmac = new Bun.CryptoHasher("sha256", "new secret").update(text).digest("base64url");
  expect(signedMediaPath(JOB)).toBe(`/media/tasks/${JOB}/task.iso`);
  expect(URL_NOW).toBe(`/media/tasks/${JOB}/task.iso?expires=${EXPIRES}&sig=${hmac}`);
});

const sig = new URL(URL_NOW, "http://media.test").searchParams.get("sig") ?? "";
const withSig = (s: string) => URL_NOW.replace(sig, s);
const other = (character: string | undefined) => (character === "A" ? "B" : "A");

test.each([
  { what: "valid", change: {}, expected: "ok" },
  { what: "valid in the last ms", change: { now: BEFORE }, expected: "ok" },
  { what: "expired", change: { now: EXPIRES * 1000 }, expected: "expired" },
  {
    what: "rotated, old secret still accepted",
    change: { url: signMediaUrl(MEDIUM, "old secret"), secrets: ["new secret", "old secret"] },
    expected: "ok",
  },
  {
    what: "rotated, old secret gone",
    change: { url: signMediaUrl(MEDIUM, "old secret") },
    expected: "bad-signature",
  },
  { what: "no secret at all", change: { secrets: [] }, expected: "bad-signature" },
  { what: "of another job", change: { jobId: JOB.replace("0", "1") }, expected: "bad-signature" },
  { what: "of other content", change: { sha256: "0".repeat(64) }, expected: "bad-signature" },
  {
    what: "with a later expiry",
    change: { url: URL_NOW.replace(`${EXPIRES}`, `${EXPIRES + 1}`) },
    expected: "bad-signature",
  },
  {
    what: "with a changed first character",
    change: { url: withSig(other(sig[0]) + sig.slice(1)) },
    expected: "bad-signature",
  },
  { what: "too short", change: { url: withSig(sig.slice(1)) }, expected: "malformed" },
  { what: "too long", change: { url: withSig(`${sig}A`) }, expected: "malformed" },
  { what: "without sig", change: { url: withSig("") }, expected: "malformed" },
  {
    what: "without expires",
    change: { url: URL_NOW.replace(/expires=\d+/, "") },
    expected: "malformed",
  },
  {
    what: "with an expiry that is no number",
    change: { url: URL_NOW.replace(`${EXPIRES}`, "1e9") },
    expected: "malformed",
  },
])("R19 a URL that is $what is $expected", ({ change, expected }) => {
  expect(verdict(change)).toBe(expected);
});

test("R19 only one spelling of a signature is accepted", () => {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const accepted = [...alphabet].filter(
    (character) => verdict({ url: withSig(sig.slice(0, -1) + character) }) === "ok",
  );
  expect(accepted).toEqual([sig.slice(-1)]);
});
