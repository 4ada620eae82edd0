// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import { type Envelope, parseEnvelope } from "../../src/jobs/envelope.ts";

const ENVELOPE: Envelope = {
  version: 1,
  job_id: "6f8c",
  server_serial: "SN1",
  task_target: "install-linux.target",
  controller_urls: ["https://192.0.2.1:8443", "http://[2001:db8::1]"],
  ca_certificate: null,
  token: "secret",
  artifact: { registry: null, repository: "os/debian", reference: "12", digest: null },
  network: {
    interfaces: [{ type: "ethernet", name: "lan", mac: "52:54:00:00:00:01", dhcp: true }],
  },
};

describe("parseEnvelope()", () => {
  test("gives back what was written, and leaves out what it does not know", () => {
    expect(parseEnvelope(JSON.stringify({ ...ENVELOPE, later: 1 }))).toEqual(ENVELOPE);
    const least = { ...ENVELOPE, artifact: null, network: null };
    expect(parseEnvelope(JSON.stringify(least))).toEqual(least);
  });

  test("throws SyntaxError for what is not JSON", () => {
    expect(() => parseEnvelope("{")).toThrow(SyntaxError);
  });

  const cases: [object, string][] = [
    [{ version: 2 }, "/version: must be 1"],
    [{ job_id: "" }, "/job_id: must be a string that is not empty"],
    [{ token: undefined }, "/token: must be a string that is not empty"],
    [{ controller_urls: [] }, "/controller_urls: must be a list that is not empty"],
    [{ controller_urls: ["ftp://x"] }, "/controller_urls/0: must be an http or https URL"],
    [{ ca_certificate: 1 }, "/ca_certificate: must be a string or null"],
    [{ artifact: undefined }, "/artifact: must be an object or null"],
    [
      { artifact: { ...ENVELOPE.artifact, digest: 1 } },
      "/artifact/digest: must be a string or null",
    ],
    [{ network: { interfaces: [] } }, "/network/interfaces: must be a list of 1 to 64 items"],
  ];
  test.each(cases)("throws TypeError for %p", (change, message) => {
    const text = JSON.stringify({ ...ENVELOPE, ...change });
    expect(() => parseEnvelope(text)).toThrow(new TypeError(message));
  });

  test("throws TypeError for a list", () => {
    expect(() => parseEnvelope("[]")).toThrow(new TypeError("/: must be an object"));
  });
});
