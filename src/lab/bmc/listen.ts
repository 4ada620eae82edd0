// SPDX-License-Identifier: AGPL-3.0-or-later
import { createHash, X509Certificate } from "node:crypto";
import type { Hono } from "hono";
import { ProvError } from "../../base/errors.ts";

/** A self-signed certificate and its key, PEM. */
export interface Certificate {
  readonly certificate: string;
  readonly key: string;
  /** SHA-256 of the DER, lower-case hex. */
  readonly fingerprint: string;
}

/** Made anew at each start, as a BMC does after a factory reset. @throws {ProvError} `COMMAND_FAILED` */
export async function makeCertificate(hostname: string): Promise<Certificate> {
  const name = /^[\d.]+$|:/.test(hostname) ? `IP:${hostname}` : `DNS:${hostname}`;
  const child = Bun.spawn(
    [
      ...["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
      ...["-nodes", "-days", "3650", "-subj", "/CN=prov lab BMC"],
      ...["-addext", `subjectAltName=${name},DNS:localhost`, "-keyout", "-", "-out", "-"],
    ],
    { stdin: "ignore", stdout: "pipe", stderr: "pipe" },
  );
  const [pem, complaint] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  if ((await child.exited) !== 0) {
    throw new ProvError(`Cannot make a certificate for ${hostname}: ${complaint.slice(-500)}`, {
      code: "COMMAND_FAILED",
    });
  }
  const split = pem.indexOf("-----BEGIN CERTIFICATE-----");
  const certificate = pem.slice(split);
  const fingerprint = createHash("sha256")
    .update(new X509Certificate(certificate).raw)
    .digest("hex");
  return { certificate, key: pem.slice(0, split), fingerprint };
}

export interface BmcListener {
  /** `https://127.0.0.1:8443`, without a path. */
  readonly url: string;
  stop(): Promise<void>;
}

export interface ListenOptions {
  readonly hostname: string;
  /** 0: any free one. */
  readonly port: number;
  /** null: plain HTTP, for load tests of many simulated servers. */
  readonly certificate: Certificate | null;
}

export function listen(app: Hono, options: ListenOptions): BmcListener {
  const { hostname, port, certificate } = options;
  const server = Bun.serve({
    hostname,
    port,
    // Some clients keep connections for minutes and take a closed one for a failure.
    idleTimeout: 255,
    fetch: (request) => app.fetch(request),
    ...(certificate !== null && { tls: { cert: certificate.certificate, key: certificate.key } }),
  });
  const host = hostname.includes(":") ? `[${hostname}]` : hostname;
  return {
    url: `${certificate === null ? "http" : "https"}://${host}:${server.port}`,
    stop: () => server.stop(true),
  };
}
