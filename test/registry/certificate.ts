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
export async function makeCertificate(
  options: { readonly isExpired?: boolean } = {},
): Promise<Certificate> {
  const work = await mkdtemp(join(tmpdir(), "prov-tls-"));
  const openssl = (args: readonly string[]) => {
    const { exitCode, stderr } = Bun.spawnSync(["openssl", ...args], { cwd: work });
    if (exitCode !== 0) throw new Error(`openssl exited with ${exitCode}: ${stderr}`);
  };
  try {
    const request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
    const subject = ["-subj", "/CN=prov", "-addext", "subjectAltName=IP:127.0.0.1"];
    const files = ["-keyout", "key.pem", "-out", "cert.pem"];
    openssl([...request, "-nodes", "-days", "2", ...subject, ...files]);
    if (options.isExpired === true) {
      // `req` makes none that is not valid; -1 is what openssl's own tests use.
      openssl(["x509", "-in", "cert.pem", "-signkey", "key.pem", "-days", "-1", "-out", "old.pem"]);
    }
    const names = [options.isExpired === true ? "old.pem" : "cert.pem", "key.pem"];
    const [cert, key] = await Promise.all(names.map((name) => Bun.file(join(work, name)).text()));
    return { cert: cert ?? "", key: key ?? "" };
  } finally {
    await rm(work, { recursive: true });
  }
}
