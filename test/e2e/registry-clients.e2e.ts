// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * R48, R51: what people push and pull with, against `prov serve` as they run it: oras, skopeo, podman, docker and
 * containerd, over HTTP and TLS, logged in with a password and with tokens.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { digestOf } from "../../src/registry/digest.ts";
import { runClient, runDocker } from "../helpers/clients.ts";
import { makeCertificate } from "../registry/certificate.ts";
import { noise } from "../registry/served.ts";
import { BINARY, ISO } from "./site.ts";
import { Controller, expectProgram, freePort } from "./world.ts";

const PASSWORD = "correct horse";
const USER = "maker";
const CREDENTIALS = `${USER}:${PASSWORD}`;

let work: string;

interface Site {
  readonly controller: Controller;
  readonly hosts: Readonly<Record<"HTTP" | "TLS", string>>;
}
const sites = new Map<string, Site>();

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), "prov-clients-"));
  await writeCertificate();
  for (const auth of ["basic", "bearer"]) sites.set(auth, await startSite(auth));
  await Bun.write(join(work, "tool/Containerfile"), "FROM scratch\nCOPY tool /tool\n");
  await Bun.write(join(work, "tool/tool"), noise(3_000_000, 7));
  await Bun.write(join(work, "root.tar.zst"), noise(5_000_000));
  await Bun.write(join(work, "sbom.json"), "{}");
  await podman("build", "--isolation=chroot", "--tag=localhost/tool:1", "tool");
  await podman("save", "--format=oci-dir", `--output=${work}/layout`, "localhost/tool:1");
}, 600_000);

afterAll(async () => {
  for (const { controller } of sites.values()) await controller.stop();
  await rm(work, { recursive: true, force: true });
});

/** `certs/ca.crt` and `key.pem`. */
async function writeCertificate(): Promise<void> {
  const { cert, key } = await makeCertificate();
  await Bun.write(join(work, "certs/ca.crt"), cert);
  await Bun.write(join(work, "key.pem"), key);
}

async function startSite(auth: string): Promise<Site> {
  const [port, tlsPort] = [freePort(), freePort()];
  const directory = join(work, auth);
  const controller = new Controller(
    { binary: BINARY, iso: ISO, directory },
    {
      port,
      publicUrls: [`http://127.0.0.1:${port}`],
      flags: [
        `--registry-auth=${auth}`,
        `--https-addr=127.0.0.1:${tlsPort}`,
        `--tls-cert-file=${join(work, "certs/ca.crt")}`,
        `--tls-key-file=${join(work, "key.pem")}`,
        "--worker-concurrency=0",
      ],
    },
  );
  await mkdir(directory, { recursive: true });
  await controller.start();
  const add = [BINARY, "user", "add", USER, "--role=operator", "--password-file=-"];
  await expectProgram(add, { env: controller.env, stdin: PASSWORD });
  return { controller, hosts: { HTTP: `127.0.0.1:${port}`, TLS: `127.0.0.1:${tlsPort}` } };
}

const run = (...argv: string[]) => runClient(argv, { directory: work, stdin: PASSWORD });

const podman = (...argv: string[]) =>
  run(
    ...["podman", "--storage-driver=vfs", `--root=${work}/store`, `--runroot=${work}/runroot`],
    ...["--cgroup-manager=cgroupfs", ...argv],
  );

describe.each(["basic", "bearer"])("asked for %s", (auth) => {
  describe.each(["HTTP", "TLS"] as const)("over %s", (transport) => {
    const host = () => sites.get(auth)?.hosts[transport] ?? "";
    const isTls = transport === "TLS";
    // Two transports lead to one registry.
    const place = `${transport.toLowerCase()}/os`;

    test("nobody gets in without, and is told how to", async () => {
      const url = `${isTls ? "https" : "http"}://${host()}/v2/`;
      const { status, headers } = await fetch(url, { tls: { rejectUnauthorized: false } });
      expect(status).toBe(401);
      const realm = auth === "basic" ? 'Basic realm="prov"' : `Bearer realm="${url}token"`;
      expect(headers.get("www-authenticate")).toStartWith(realm);
    });

    test("oras logs in, pushes, tags, attaches, discovers, copies, pulls and deletes", async () => {
      const plain = isTls ? [`--ca-file=${work}/certs/ca.crt`] : ["--plain-http"];
      const oras = (...argv: string[]) => run("oras", ...argv);
      const at = (name: string) => `${host()}/${place}/${name}`;
      const file = "root.tar.zst:application/vnd.oci.image.layer.v1.tar+zstd";
      await expect(oras("push", ...plain, at("debian:13"), file)).rejects.toThrow(
        /credential|401|unauthorized/i,
      );
      await oras("login", ...plain, `--username=${USER}`, "--password-stdin", host());
      await oras(
        "push",
        ...plain,
        "--artifact-type=application/vnd.prov.rootfs.v1",
        at("debian:13"),
        file,
      );
      await oras("tag", ...plain, at("debian:13"), "stable");
      await oras(
        "attach",
        ...plain,
        "--artifact-type=application/spdx+json",
        at("debian:13"),
        "sbom.json",
      );
      expect(await oras("discover", ...plain, "--format=json", at("debian:13"))).toContain(
        "application/spdx+json",
      );
      expect(await oras("repo", "tags", ...plain, at("debian"))).toBe("13\nstable\n");
      expect(await oras("repo", "ls", ...plain, host())).toContain(`${place}/debian`);
      const both = isTls
        ? ["from", "to"].map((end) => `--${end}-ca-file=${work}/certs/ca.crt`)
        : ["--from-plain-http", "--to-plain-http"];
      await oras("cp", "--recursive", ...both, at("debian:13"), at("copy:13"));
      expect(await oras("discover", ...plain, "--format=json", at("copy:13"))).toContain(
        "application/spdx+json",
      );
      await oras("pull", ...plain, `--output=pulled-${auth}-${transport}`, at("copy:13"));
      const pulled = await readFile(join(work, `pulled-${auth}-${transport}`, "root.tar.zst"));
      expect(digestOf(pulled)).toBe(digestOf(noise(5_000_000)));
      await oras("manifest", "delete", "--force", ...plain, at("copy:13"));
      await expect(oras("manifest", "fetch", ...plain, at("copy:13"))).rejects.toThrow(
        /not found/i,
      );
      await oras("logout", host());
    }, 120_000);

    test("podman pushes a tool image, and pulls and reads what it pushed", async () => {
      const tls = isTls ? [`--cert-dir=${work}/certs`] : ["--tls-verify=false"];
      const image = `${host()}/${place}/tool:1`;
      await podman("login", ...tls, `--username=${USER}`, "--password-stdin", host());
      await podman("tag", "localhost/tool:1", image);
      await podman("push", ...tls, image);
      const [before, after] = [await podman("inspect", "--format={{.Id}}", image), image];
      await podman("rmi", image);
      await podman("pull", ...tls, after);
      expect(await podman("inspect", "--format={{.Id}}", after)).toBe(before);
      await podman("rmi", after);
      await podman("logout", host());
    }, 120_000);

    test("skopeo copies, lists, inspects, and deletes", async () => {
      const [from, to, one] = isTls
        ? ["src-", "dest-", ""].map((end) => `--${end}cert-dir=${work}/certs`)
        : ["src-", "dest-", ""].map((end) => `--${end}tls-verify=false`);
      const skopeo = (...argv: string[]) => run("skopeo", "--insecure-policy", ...argv);
      const at = (name: string) => `docker://${host()}/${place}/${name}`;
      const creds = `--creds=${CREDENTIALS}`;
      const layout = `oci:${work}/layout`;
      await skopeo("copy", to ?? "", `--dest-creds=${CREDENTIALS}`, layout, at("again:1"));
      const ends = [`--src-creds=${CREDENTIALS}`, `--dest-creds=${CREDENTIALS}`];
      await skopeo("copy", from ?? "", to ?? "", ...ends, at("again:1"), at("again:2"));
      const tags = await skopeo("list-tags", one ?? "", creds, at("again"));
      expect(JSON.parse(tags).Tags).toEqual(["1", "2"]);
      const shown = JSON.parse(await skopeo("inspect", one ?? "", creds, at("again:1")));
      expect(shown.Layers).toHaveLength(1);
      await skopeo("delete", one ?? "", creds, at("again:1"));
      await expect(skopeo("inspect", one ?? "", creds, at("again:2"))).rejects.toThrow(/unknown/i);
    }, 120_000);

    test("docker pushes, mounts what another repository has, and pulls; containerd too", async () => {
      const at = (name: string) => `${host()}/docker/${place}/${name}`;
      const directory = join(work, `docker-${auth}-${transport}`);
      await mkdir(directory);
      // On the loopback address docker does without TLS, or without knowing who signed the certificate.
      const options = `--user "${CREDENTIALS}" ${isTls ? "--skip-verify" : "--plain-http"}`;
      const said = await runDocker(
        `docker login --username ${USER} --password-stdin ${host()} 2>&1
tar --create --directory=/usr/share/doc docker.io | docker import - ${at("a:1")}
docker push ${at("a:1")}
docker tag ${at("a:1")} ${at("b:2")}
docker push ${at("b:2")}
docker rmi ${at("a:1")} ${at("b:2")}
docker pull ${at("b:2")}
docker logout ${host()}
if docker pull ${at("a:1")}; then exit 1; fi
ctr="ctr --address $CONTAINERD images"
$ctr pull ${options} ${at("b:2")}
$ctr tag ${at("b:2")} ${at("c:3")}
$ctr push ${options} ${at("c:3")}
`,
        { directory, stdin: PASSWORD },
      );
      expect(said).toContain("Login Succeeded");
      expect(said).toContain(`Mounted from docker/${place}/a`);
      expect(said).toContain(`Downloaded newer image for ${at("b:2")}`);
      const tags = await run(
        ...["skopeo", "list-tags", `--creds=${CREDENTIALS}`],
        ...(isTls ? [`--cert-dir=${work}/certs`] : ["--tls-verify=false"]),
        `docker://${at("c")}`,
      );
      expect(JSON.parse(tags).Tags).toEqual(["3"]);
    }, 120_000);
  });
});

/** A way to a server whose first connections with a long answer break off in the middle of it. */
async function breakingProxy(port: number, breakAfter: number, times: number) {
  let breaks = 0;
  const server = createServer((client) => {
    const up = connect(port, "127.0.0.1");
    let sent = 0;
    up.on("data", (data) => {
      sent += data.length;
      if (sent < breakAfter || breaks >= times) return;
      breaks++;
      client.destroy();
      up.destroy();
    });
    client.pipe(up).on("error", () => client.destroy());
    up.pipe(client).on("error", () => up.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the proxy has no port");
  return { port: address.port, breaks: () => breaks, stop: () => server.close() };
}

test("podman's library takes up a pull again where the connection broke", async () => {
  const [, direct = ""] = sites.get("basic")?.hosts.HTTP.split(":") ?? [];
  await mkdir(join(work, "big"));
  await Bun.write(join(work, "big/Containerfile"), "FROM scratch\nCOPY big /big\n");
  await Bun.write(join(work, "big/big"), noise(40_000_000, 3));
  await podman("build", "--isolation=chroot", "--tag=localhost/big:1", "big");
  const image = `127.0.0.1:${direct}/resume/big:1`;
  await podman("push", "--tls-verify=false", `--creds=${CREDENTIALS}`, "localhost/big:1", image);
  const proxy = await breakingProxy(Number(direct), 6_000_000, 2);
  try {
    const skopeo = ["skopeo", "--insecure-policy", "copy", "--src-tls-verify=false"];
    const from = `docker://127.0.0.1:${proxy.port}/resume/big:1`;
    await run(...skopeo, `--src-creds=${CREDENTIALS}`, from, `oci:${work}/resumed:1`);
    expect(proxy.breaks()).toBe(2);
  } finally {
    proxy.stop();
  }
}, 120_000);
