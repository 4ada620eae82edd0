// SPDX-License-Identifier: AGPL-3.0-or-later
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** PEM texts. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** A certificate for 127.0.0.1 that is its own CA, by openssl. */
export async function makeCertificate(): Promise<Certificate> {
  const work = await mkdtemp(join(tmpdir(), "prov-tls-"));
  try {
    const request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"];
    const subject = ["-subj", "/CN=prov", "-addext", "subjectAltName=IP:127.0.0.1"];
    const { exitCode, stderr } = Bun.spawnSync(
      [
        ...[...request, "ec_paramgen_curve:P-256", "-nodes", "-days", "2"],
        ...[...subject, "-keyout", "key.pem", "-out", "cert.pem"],
      ],
      { cwd: work },
    );
    if (exitCode !== 0) throw new Error(`openssl exited with ${exitCode}: ${stderr}`);
    const [cert, key] = await Promise.all(
      ["cert.pem", "key.pem"].map((name) => Bun.file(join(work, name)).text()),
    );
    return { cert: cert ?? "", key: key ?? "" };
  } finally {
    await rm(work, { recursive: true });
  }
}
