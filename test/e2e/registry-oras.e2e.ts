// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * R48: the registry and the clients people have: oras for artifacts, skopeo for images and layouts.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLog } from "../../src/base/deps.ts";
import { openBlob, resolveArtifact } from "../../src/registry/client/pull.ts";
import { digestOf } from "../../src/registry/digest.ts";
import { orasPath } from "../helpers/clients.ts";
import { noise, type Served, serveRegistry } from "../registry/served.ts";

const PASSWORD = "correct horse";
const AUTHORIZATION = `Basic ${btoa(`maker:${PASSWORD}`)}`;

let served: Served;
let work: string;
let oras: string;

beforeAll(async () => {
  oras = await orasPath();
  work = await mkdtemp(join(tmpdir(), "prov-e2e-registry-"));
  served = await serveRegistry({
    accessOf: (request) => {
      const isMaker = request.headers.get("authorization") === AUTHORIZATION;
      return {
        identity: isMaker ? "maker" : "anonymous",
        may: (action, repository) => isMaker || (action === "pull" && repository !== ""),
      };
    },
  });
}, 120_000);

afterAll(async () => {
  await served[Symbol.asyncDispose]();
  await rm(work, { recursive: true, force: true });
});

const host = () => `127.0.0.1:${served.port}`;
const at = (reference: string) => `${host()}/${reference}`;

async function run(argv: readonly string[], cwd = work): Promise<string> {
  const child = Bun.spawn([...argv], {
    cwd,
    env: { PATH: "/usr/bin:/bin:/usr/sbin", HOME: work, XDG_RUNTIME_DIR: work },
    stdin: new Blob([PASSWORD]),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err, exit] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ]);
  if (exit !== 0) throw new Error(`${argv.join(" ")} exited with ${exit}: ${err}${out}`);
  return out;
}

const runOras = (...argv: string[]) => run([oras, ...argv]);

test("R48: oras logs in, pushes, pulls, attaches, discovers, copies and deletes", async () => {
  const rootfs = noise(64 * 1024 * 1024);
  await Bun.write(join(work, "root.tar.zst"), rootfs);
  await Bun.write(join(work, "sbom.json"), "{}");
  const push = ["push", "--plain-http", at("os/debian:13"), "root.tar.zst:application/zstd"];
  await expect(runOras(...push)).rejects.toThrow("exited with");
  await runOras("login", "--plain-http", "-u", "maker", "--password-stdin", host());
  await runOras(...push, "--artifact-type", "application/vnd.prov.rootfs.v1");

  await runOras("pull", "--plain-http", "-o", "pulled", at("os/debian:13"));
  const pulled = await Bun.file(join(work, "pulled/root.tar.zst")).bytes();
  expect(digestOf(pulled)).toBe(digestOf(rootfs));

  const attach = ["attach", "--plain-http", "--artifact-type", "x/sbom"];
  await runOras(...attach, at("os/debian:13"), "sbom.json");
  const found = await runOras("discover", "--plain-http", "-o", "json", at("os/debian:13"));
  expect(found).toContain("x/sbom");

  await runOras("tag", "--plain-http", at("os/debian:13"), "stable");
  expect(await runOras("repo", "tags", "--plain-http", at("os/debian"))).toBe("13\nstable\n");
  expect(await runOras("repo", "ls", "--plain-http", host())).toContain("os/debian");

  await runOras(
    ...["cp", "-r", "--from-plain-http", "--to-plain-http"],
    ...[at("os/debian:13"), at("mirror/debian:13")],
  );
  const copied = await runOras("discover", "--plain-http", "-o", "json", at("mirror/debian:13"));
  expect(copied).toContain("x/sbom");

  const manifest = await runOras("manifest", "fetch", "--plain-http", at("os/debian:13"));
  expect(JSON.parse(manifest)).toMatchObject({ artifactType: "application/vnd.prov.rootfs.v1" });
  await runOras("manifest", "delete", "-f", "--plain-http", at("os/debian:stable"));
  const gone = runOras("manifest", "fetch", "--plain-http", at("os/debian:13"));
  await expect(gone).rejects.toThrow(/not found/i);
}, 120_000);

test("R39: what oras pushes, prov's own client pulls", async () => {
  const rootfs = noise(8 * 1024 * 1024, 3);
  await Bun.write(join(work, "small.tar"), rootfs);
  await runOras(
    ...["push", "--plain-http", "-u", "maker", "-p", PASSWORD],
    ...[at("os/small:1"), "small.tar"],
  );
  const source = {
    registry: served.url,
    repository: "os/small",
    reference: "1",
    authorization: null,
    ca: null,
  };
  const deps = { fetch, sleep: (ms: number) => Bun.sleep(ms), now: Date.now, log: silentLog };
  const { layer } = await resolveArtifact(source, deps);
  expect(layer.title).toBe("small.tar");
  const hasher = new Bun.CryptoHasher("sha256");
  for await (const chunk of openBlob(source, layer, deps)) hasher.update(chunk);
  expect(`sha256:${hasher.digest("hex")}`).toBe(digestOf(rootfs));
});

test("R48: skopeo copies, inspects and deletes, and reads the directory itself", async () => {
  await Bun.write(join(work, "tool.txt"), "tool");
  const credentials = ["-u", "maker", "-p", PASSWORD];
  // An image as skopeo knows it: with a config and a tar layer.
  const config = { architecture: "amd64", os: "linux", rootfs: { type: "layers", diff_ids: [] } };
  await Bun.write(join(work, "config.json"), JSON.stringify(config));
  await runOras(
    ...["push", "--plain-http", ...credentials, "--disable-path-validation"],
    ...["--config", "config.json:application/vnd.oci.image.config.v1+json"],
    ...[at("tools/one:1"), "tool.txt:application/vnd.oci.image.layer.v1.tar"],
  );
  const creds = `maker:${PASSWORD}`;
  const skopeo = (...argv: string[]) => run(["skopeo", "--insecure-policy", ...argv]);
  await skopeo(
    ...["copy", "--src-tls-verify=false", "--dest-tls-verify=false", "--dest-creds", creds],
    ...[`docker://${at("tools/one:1")}`, `docker://${at("tools/two:1")}`],
  );
  const reference = `docker://${at("tools/two:1")}`;
  const shown = await skopeo("inspect", "--tls-verify=false", "--raw", reference);
  expect(JSON.parse(shown).layers).toHaveLength(1);
  // The layout is written within a second or two.
  const index = join(served.root, "repos/tools/two/index.json");
  while (!(await Bun.file(index).exists())) await Bun.sleep(50);
  await skopeo("copy", `oci:${served.root}/repos/tools/two:1`, `oci:${work}/layout:1`);
  await skopeo("delete", "--tls-verify=false", "--creds", creds, reference);
  const again = skopeo("inspect", "--tls-verify=false", "--raw", reference);
  await expect(again).rejects.toThrow();
}, 60_000);
