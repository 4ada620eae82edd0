// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * R48, R49: artifacts across an air gap: `prov serve` at site A, an OCI archive, `prov serve` at site B; and
 * the archives of skopeo, podman and oras in both directions.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdir, mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { arrayAt, stringAt } from "../../src/base/json.ts";
import { digestOf } from "../../src/registry/digest.ts";
import { runClient } from "../helpers/clients.ts";
import { noise } from "../registry/served.ts";
import { BINARY, ISO } from "./site.ts";
import { Controller, expectProgram, freePort } from "./world.ts";

const rootfs = noise(96 * 1024 * 1024, 11);

let work: string;
let a: Controller;
let b: Controller;
let sbom = "";

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), "prov-e2e-archive-"));
  [a, b] = await Promise.all([startSite("a"), startSite("b")]);
  await expectProgram(["openssl", "genpkey", "-algorithm", "ed25519", "-out", `${work}/key.pem`]);
  const publicHalf = ["-in", `${work}/key.pem`, "-pubout", "-out", `${work}/key.pub`];
  await expectProgram(["openssl", "pkey", ...publicHalf]);
  await Bun.write(join(work, "root.tar.zst"), rootfs);
  await Bun.write(join(work, "sbom.json"), "{}");
  await Bun.write(join(work, "signature.json"), '{"signed":true}');
  await Bun.write(join(work, "tool/Containerfile"), "FROM scratch\nCOPY tool /tool\n");
  await Bun.write(join(work, "tool/tool"), noise(300_000, 7));

  const password = a.env.PROV_PASSWORD ?? "";
  const login = ["login", "--plain-http", "-u", "admin", "--password-stdin", hostOf(a)];
  await runClient(["oras", ...login], { directory: work, stdin: password });
  await prov(a, "artifact", "push", join(work, "root.tar.zst"), "os/debian:13");
  const attach = ["oras", "attach", "--plain-http", "--no-tty"];
  await run(...attach, "--artifact-type=application/spdx+json", at(a, "os/debian:13"), "sbom.json");
  sbom = (await referrersOf(a, await digestAt(a, "os/debian", "13")))[0] ?? "";
  const signed = `--artifact-type=application/vnd.example.signature`;
  await run(...attach, signed, `${hostOf(a)}/os/debian@${sbom}`, "signature.json");
  await prov(a, "artifact", "sign", "os/debian:13", `--key=${work}/key.pem`);
  await podman("build", "--isolation=chroot", "--tag=localhost/tool:1", "tool");
  const creds = `--creds=admin:${password}`;
  const tool = `docker://${at(a, "tools/imager:1")}`;
  await podman("push", "--tls-verify=false", creds, "localhost/tool:1", tool);
  await prov(a, ...exportTo(archive()));
}, 600_000);

afterAll(async () => {
  await Promise.all([a.stop(), b.stop()]);
  await rm(work, { recursive: true, force: true });
});

async function startSite(name: string): Promise<Controller> {
  const port = freePort();
  const directory = join(work, name);
  await mkdir(directory, { recursive: true });
  const controller = new Controller(
    { binary: BINARY, iso: ISO, directory },
    { port, publicUrls: [`http://127.0.0.1:${port}`], flags: ["--worker-concurrency=0"] },
  );
  await controller.start();
  return controller;
}

const hostOf = ({ url }: Controller) => url.replace("http://", "");
const at = (site: Controller, reference: string) => `${hostOf(site)}/${reference}`;
const run = (...argv: string[]) => runClient(argv, { directory: work });
const podman = (...argv: string[]) =>
  run(
    ...["podman", "--storage-driver=vfs", `--root=${work}/store`, `--runroot=${work}/runroot`],
    ...["--cgroup-manager=cgroupfs", ...argv],
  );

async function prov(site: Controller, ...argv: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await site.prov(...argv);
  if (code !== 0) throw new Error(`prov ${argv.join(" ")} exited with ${code}: ${stderr}`);
  return stdout;
}

async function ask(site: Controller, path: string, method = "GET"): Promise<Response> {
  const { PROV_USER = "", PROV_PASSWORD = "" } = site.env;
  const authorization = `Basic ${btoa(`${PROV_USER}:${PROV_PASSWORD}`)}`;
  return await fetch(`${site.url}/v2/${path}`, { method, headers: { authorization } });
}

async function digestAt(site: Controller, repository: string, tag: string): Promise<string> {
  const response = await ask(site, `${repository}/manifests/${tag}`, "HEAD");
  return response.headers.get("docker-content-digest") ?? "";
}

async function referrersOf(
  site: Controller,
  digest: string,
  repository = "os/debian",
): Promise<string[]> {
  const response = await ask(site, `${repository}/referrers/${digest}`);
  return arrayAt(await response.json(), "manifests").map((d) => stringAt(d, "digest") ?? "");
}

/** Looks so often that a fast machine is not done before. */
async function killWhen(child: Bun.Subprocess, isTime: () => Promise<boolean>): Promise<void> {
  while (!(await isTime())) {
    if (child.exitCode !== null) throw new Error("It ended before it could be killed");
    await Bun.sleep(2);
  }
  child.kill("SIGKILL");
  await child.exited;
  expect(child.signalCode).toBe("SIGKILL");
}

const archive = () => join(work, "all.tar");
const exportTo = (path: string) => [
  ...["artifact", "export", "**", `--output=${path}`, `--sign-key=${work}/key.pem`],
];

test("R49: an export killed midway goes on, and gives the same bytes", async () => {
  const path = join(work, "again.tar");
  const child = Bun.spawn([BINARY, ...exportTo(path)], { env: { ...process.env, ...a.env } });
  await killWhen(child, async () => {
    const found = await stat(`${path}.part`).catch(() => undefined);
    return (found?.size ?? 0) > 8 * 1024 * 1024;
  });
  expect(await Bun.file(path).exists()).toBe(false);
  const resumed = JSON.parse(await prov(a, ...exportTo(path), "--json"));
  expect(resumed.resumed_at).toBeGreaterThan(8 * 1024 * 1024);
  await expectProgram(["cmp", archive(), path]);
}, 60_000);

test("R48: a signed archive brings everything to site B", async () => {
  const words = ["artifact", "import", archive(), `--verify-key=${work}/key.pub`, "--into=gap"];
  const dry = await prov(b, ...words, "--dry-run");
  expect(dry).toBe("5 artifacts: 7 blobs to send, 96.3 MiB, 0 already there, 3 tags to set\n");
  const done = await prov(b, ...words);
  expect(done).toBe("5 artifacts: 7 blobs sent, 96.3 MiB, 0 already there, 3 tags set\n");

  const digest = await digestAt(a, "os/debian", "13");
  expect(await digestAt(b, "gap/os/debian", "13")).toBe(digest);
  const referrers = await referrersOf(b, digest, "gap/os/debian");
  expect(referrers).toEqual(await referrersOf(a, digest));
  expect(referrers).toHaveLength(2);
  expect(await referrersOf(b, sbom, "gap/os/debian")).toHaveLength(1);
  const signed = ["artifact", "verify", "gap/os/debian:13", `--key=${work}/key.pub`];
  expect(await prov(b, ...signed)).toContain(`@${digest} is signed by`);
  await prov(b, "artifact", "pull", "gap/os/debian:13", join(work, "pulled"));
  expect(digestOf(await Bun.file(join(work, "pulled")).bytes())).toBe(digestOf(rootfs));
}, 60_000);

test("R49: an import that is killed with its controller is started again", async () => {
  const c = await startSite("c");
  const words = ["artifact", "import", archive(), "--into=mirror"];
  const env = { ...process.env, ...c.env };
  const child = Bun.spawn([BINARY, ...words], { env, stderr: "ignore" });
  await killWhen(child, async () => {
    const uploads = await readdir(join(c.storage, "registry/uploads")).catch(() => []);
    return uploads.length > 0;
  });
  await c.kill9();
  await c.start();
  await prov(c, ...words);
  expect(await digestAt(c, "mirror/os/debian", "13")).toBe(await digestAt(a, "os/debian", "13"));
  await c.stop();
}, 60_000);

test("GNU tar lists the archive as documented, and its blobs have the digests of their names", async () => {
  const listed = await expectProgram(["tar", "--utc", "-tvf", archive()]);
  const plain = listed
    .replaceAll(/[0-9a-f]{64}/g, "SHA256")
    .split("\n")
    .map((line) => line.replace(/ +\d+ (?=1970)/, " SIZE "));
  expect(plain).toEqual([
    "-rw-r--r-- 0/0 SIZE 1970-01-01 00:00 oci-layout",
    "-rw-r--r-- 0/0 SIZE 1970-01-01 00:00 index.json",
    ...Array(5 + 7).fill("-rw-r--r-- 0/0 SIZE 1970-01-01 00:00 blobs/sha256/SHA256"),
    "-rw-r--r-- 0/0 SIZE 1970-01-01 00:00 index.json.sig",
    "",
  ]);
  await mkdir(join(work, "unpacked"));
  await expectProgram(["tar", "-xf", archive(), "-C", join(work, "unpacked")]);
  const script = `cd ${work}/unpacked/blobs/sha256 && for f in *; do echo "$f  $f"; done | sha256sum -c --quiet`;
  await expectProgram(["bash", "-c", script]);
});

test("openssl checks the signature by hand, as documented", async () => {
  const script = `cd ${work}
tar -xOf all.tar index.json > index.json
tar -xOf all.tar index.json.sig | sed 's/.*"signature":"\\([^"]*\\)".*/\\1/' | base64 -d > index.sig
openssl pkeyutl -verify -pubin -inkey key.pub -rawin -in index.json -sigfile index.sig`;
  expect(await expectProgram(["bash", "-c", script])).toBe("Signature Verified Successfully\n");
});

test("R48: skopeo and podman take one artifact out of several by its name, oras by its digest", async () => {
  const name = `oci-archive:${archive()}:tools/imager:1`;
  await run("skopeo", "inspect", "--raw", name);
  const creds = `--dest-creds=admin:${b.env.PROV_PASSWORD ?? ""}`;
  const to = `docker://${at(b, "skopeo/imager:1")}`;
  const copy = ["skopeo", "--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false", creds];
  await run(...copy, name, to);
  expect(await digestAt(b, "skopeo/imager", "1")).toBe(await digestAt(a, "tools/imager", "1"));
  await podman("pull", "--quiet", name);
  const unpacked = join(work, "from-podman.tar");
  await podman("save", "--format=oci-archive", `--output=${unpacked}`, "tools/imager:1");
  const digest = await digestAt(a, "os/debian", "13");
  const cp = ["oras", "cp", "--recursive", "--no-tty", "--from-oci-layout", "--to-oci-layout"];
  await run(...cp, `${archive()}@${digest}`, `${work}/oras-layout:13`);
  await prov(b, "artifact", "import", join(work, "oras-layout"), "--into=oras/debian");
  expect(await digestAt(b, "oras/debian", "13")).toBe(digest);
  expect(await referrersOf(b, digest, "oras/debian")).toHaveLength(2);
  // podman's own archive: its name has a host, which is where it came from.
  await prov(b, "artifact", "import", unpacked, "--into=podman");
  expect(await digestAt(b, "podman/tools/imager", "1")).toMatch(/^sha256:/);
}, 60_000);

test("R48: skopeo's archives are imported, with a name and without", async () => {
  const from = `docker://${at(a, "tools/imager:1")}`;
  const creds = `--src-creds=admin:${a.env.PROV_PASSWORD ?? ""}`;
  const copy = ["skopeo", "--insecure-policy", "copy", "--quiet", "--src-tls-verify=false", creds];
  await run(...copy, from, `oci-archive:${work}/named.tar:skopeo/named:1`);
  await run(...copy, from, `oci-archive:${work}/nameless.tar`);
  await run(...copy, from, `docker-archive:${work}/docker.tar:skopeo/docker:1`);
  await prov(b, "artifact", "import", join(work, "named.tar"));
  expect(await digestAt(b, "skopeo/named", "1")).toMatch(/^sha256:/);
  const nameless = await b.prov("artifact", "import", join(work, "nameless.tar"));
  expect(nameless.stderr).toContain("Say where it goes: --into=REPOSITORY:TAG");
  await prov(b, "artifact", "import", join(work, "nameless.tar"), "--into=skopeo/nameless:2");
  expect(await digestAt(b, "skopeo/nameless", "2")).toMatch(/^sha256:/);
  const docker = await b.prov("artifact", "import", join(work, "docker.tar"));
  expect(docker).toMatchObject({ code: 1, stdout: "" });
  expect(docker.stderr).toContain("it is in the format of `docker save`");
}, 60_000);
