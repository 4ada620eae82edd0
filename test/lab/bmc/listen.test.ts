// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { connect } from "node:tls";
import { Hono } from "hono";
import { listen, makeCertificate } from "../../../src/lab/bmc/listen.ts";

test("a BMC serves HTTPS with the certificate of its fingerprint", async () => {
  const certificate = await makeCertificate("127.0.0.1");
  const app = new Hono().get("/redfish", (c) => c.text("hello"));
  const bmc = listen(app, { hostname: "127.0.0.1", port: 0, certificate });
  try {
    const tls = { ca: certificate.certificate };
    expect(await (await fetch(`${bmc.url}/redfish`, { tls })).text()).toBe("hello");
    const socket = connect({ host: "127.0.0.1", port: Number(new URL(bmc.url).port), ca: tls.ca });
    const raw = await new Promise<Buffer>((resolve, reject) => {
      socket.once("secureConnect", () => resolve(socket.getPeerCertificate().raw));
      socket.once("error", reject);
    });
    socket.destroy();
    const fingerprint = new X509Certificate(raw).fingerprint256.replaceAll(":", "").toLowerCase();
    expect(certificate.fingerprint).toBe(fingerprint);
  } finally {
    await bmc.stop();
  }
});
