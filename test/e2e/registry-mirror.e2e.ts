// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * Two sites as people run them, `prov serve` in the centre and `prov serve` as its mirror, and Debian's
 * docker-registry in the centre's place; pulled from with oras, skopeo and prov itself, logged in.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { digestOf } from "../../src/registry/digest.ts";
import { runClient } from "../helpers/clients.ts";
import { type Link, openLink } from "../registry/mirror/link.ts";
import { noise } from "../registry/served.ts";
import { BINARY, ISO } from "./site.ts";
import { Controller, eventually, expectProgram, freePort } from "./world.ts";

const SECRET = "correct horse";
const ROOT = noise(10_000_000, 3);
const TYPE = "application/vnd.oci.image.layer.v1.tar+zstd";

let work: string;
const file = (name: string) => join(work, name);
const run = (...argv: string[]) => runClient(argv, { directory: work, stdin: SECRET });

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), "prov-mirror-"));
  await Bun.write(file("root.tar.zst"), ROOT);
  await Bun.write(file("sbom.json"), "{}");
  await Bun.write(file("secret"), `${SECRET}\n`);
}, 600_000);

afterAll(async () => {
  await rm(work, { recursive: true, force: true });
});

async function startController(name: string, flags: readonly string[] = []): Promise<Controller> {
  const port = freePort();
  const directory = file(name);
  await mkdir(directory, { recursive: true });
  const controller = new Controller(
    { binary: BINARY, iso: ISO, directory },
    {
      port,
      publicUrls: [`http://127.0.0.1:${port}`],
      flags: ["--worker-concurrency=0", ...flags],
    },
  );
  await controller.start();
  return controller;
}

const mirrorOf = (registry: string) =>
  startController(`mirror-of-${new URL(registry).port}`, [
    `--registry-upstream=${registry}`,
    "--registry-upstream-user=site-a",
    `--registry-upstream-password-file=${file("secret")}`,
    "--registry-upstream-ttl=1s",
  ]);

const hostOf = (url: string) => new URL(url).host;
const asAdmin = ({ env }: Controller) => [`-u=admin`, `-p=${env.PROV_PASSWORD}`];

/** @param directory where the file is that is pushed. */
const push = (host: string, credentials: readonly string[], reference: string, directory = ".") =>
  run(
    ...["env", `--chdir=${directory}`],
    ...["oras", "push", "--plain-http", ...credentials, `${host}/${reference}`],
    `root.tar.zst:${TYPE}`,
  );

async function pulled(host: string, credentials: readonly string[], reference: string) {
  const directory = `pulled-${crypto.randomUUID()}`;
  const where = [`--output=${directory}`, `${host}/${reference}`];
  await run("oras", "pull", "--plain-http", ...credentials, ...where);
  return digestOf(await Bun.file(file(`${directory}/root.tar.zst`)).bytes());
}

describe("a mirror of prov", () => {
  let central: Controller;
  let site: Controller;
  let link: Link;

  beforeAll(async () => {
    central = await startController("central");
    const add = [BINARY, "user", "add", "site-a", "--role=reader", "--password-file=-"];
    await expectProgram(add, { env: central.env, stdin: SECRET });
    link = await openLink(Number(new URL(central.url).port));
    site = await mirrorOf(link.url);
  }, 120_000);

  afterAll(async () => {
    await site.stop();
    await link[Symbol.asyncDispose]();
    await central.stop();
  });

  const here = () => hostOf(site.url);
  const headers = () => ({ authorization: `Basic ${btoa(`admin:${site.env.PROV_PASSWORD}`)}` });
  const pushToCentral = (reference: string) =>
    push(hostOf(central.url), asAdmin(central), reference);

  test("R51: who is not known to the site gets nothing through it", async () => {
    await pushToCentral("os/private:13");
    const anonymous = pulled(here(), [], "os/private:13");
    await expect(anonymous).rejects.toThrow(/401|unauthorized|credential/i);
    expect(link.asked.filter(({ path }) => path.startsWith("os/private"))).toEqual([]);
  }, 60_000);

  test("oras, skopeo and prov pull from the site what only the centre has", async () => {
    const root = noise(20_000_000, 17);
    await Bun.write(file("debian/root.tar.zst"), root);
    await push(hostOf(central.url), asAdmin(central), "os/debian:13", "debian");
    expect(await pulled(here(), asAdmin(site), "os/debian:13")).toBe(digestOf(root));
    await run(
      ...["skopeo", "--insecure-policy", "copy", "--src-tls-verify=false"],
      ...[`--src-creds=admin:${site.env.PROV_PASSWORD}`, `docker://${here()}/os/debian:13`],
      `oci:${file("layout")}:13`,
    );
    const out = file("by-prov.tar.zst");
    const { code, stderr } = await site.prov("artifact", "pull", "os/debian:13", out);
    expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
    expect(digestOf(await Bun.file(out).bytes())).toBe(digestOf(root));
    expect(link.count("GET", new RegExp(`os/debian/blobs/${digestOf(root)}`))).toBe(1);
    const tags = ["oras", "repo", "tags", "--plain-http", ...asAdmin(site)];
    expect(await run(...tags, `${here()}/os/debian`)).toBe("13\n");
  }, 60_000);

  test("R49: killed while a blob comes, the mirror gives the whole of it afterwards", async () => {
    const late = noise(30_000_000, 5);
    await Bun.write(file("late.bin"), late);
    await run(
      ...["oras", "blob", "push", "--plain-http", ...asAdmin(central)],
      ...[`${hostOf(central.url)}/os/late`, "late.bin"],
    );
    const never = new Promise(() => undefined);
    link.fault = ({ method, path }) =>
      method === "GET" && path.startsWith("os/late/blobs/")
        ? { hold: { after: 20_000_000, until: never } }
        : undefined;
    const before = link.passed();
    const get = async () => {
      const answer = await fetch(`${site.url}/v2/os/late/blobs/${digestOf(late)}`, {
        headers: headers(),
      });
      return digestOf(await answer.bytes());
    };
    const cut = get();
    cut.catch(() => undefined);
    await eventually("half of the blob has come", 20_000, () =>
      link.passed() - before > 15_000_000 ? true : undefined,
    );
    await site.kill9();
    await expect(cut).rejects.toThrow();
    link.fault = () => undefined;
    await site.start();
    expect(await get()).toBe(digestOf(late));
  }, 60_000);

  test("a site that is cut off goes on with what it has", async () => {
    await pushToCentral("os/kept:13");
    expect(await pulled(here(), asAdmin(site), "os/kept:13")).toBe(digestOf(ROOT));
    try {
      link.up(false);
      expect(await pulled(here(), asAdmin(site), "os/kept:13")).toBe(digestOf(ROOT));
      const other = await fetch(`${site.url}/v2/os/never/manifests/1`, { headers: headers() });
      expect(other.status).toBe(503);
    } finally {
      link.up(true);
    }
  }, 60_000);
});

describe("a mirror of docker-registry", () => {
  let central: Bun.Subprocess;
  let url: string;
  let site: Controller;
  const credentials = ["-u=site-a", `-p=${SECRET}`];

  beforeAll(async () => {
    url = `http://127.0.0.1:${freePort()}`;
    const hash = await Bun.password.hash(SECRET, { algorithm: "bcrypt", cost: 4 });
    await Bun.write(file("htpasswd"), `site-a:${hash}\n`);
    const config = {
      version: "0.1",
      log: { level: "error", accesslog: { disabled: true } },
      storage: { filesystem: { rootdirectory: file("docker-registry") } },
      http: { addr: hostOf(url) },
      auth: { htpasswd: { realm: "central", path: file("htpasswd") } },
    };
    await Bun.write(file("registry.yml"), Bun.YAML.stringify(config));
    central = Bun.spawn(["docker-registry", "serve", file("registry.yml")], {
      stdout: "ignore",
      stderr: "ignore",
    });
    await eventually("docker-registry is up", 20_000, async () => {
      const answer = await fetch(`${url}/v2/`).catch(() => undefined);
      return answer?.status === 401 ? true : undefined;
    });
    site = await mirrorOf(url);
  }, 60_000);

  afterAll(async () => {
    await site.stop();
    central.kill();
    await central.exited;
  });

  test("artifacts, tags that move, and what is attached come from it", async () => {
    const here = hostOf(site.url);
    await push(hostOf(url), credentials, "os/debian:13");
    expect(await pulled(here, asAdmin(site), "os/debian:13")).toBe(digestOf(ROOT));
    // It has no referrers of its own: oras keeps them under a tag.
    await run(
      ...[
        "oras",
        "attach",
        "--plain-http",
        ...credentials,
        "--artifact-type=application/spdx+json",
      ],
      ...[`${hostOf(url)}/os/debian:13`, "sbom.json"],
    );
    const reference = `${here}/os/debian:13`;
    const ask = ["oras", "discover", "--plain-http", ...asAdmin(site), "--format=json", reference];
    await eventually("what is attached is found", 10_000, async () =>
      (await run(...ask)).includes("application/spdx+json") ? true : undefined,
    );
    const next = noise(2_000_000, 11);
    await Bun.write(file("next/root.tar.zst"), next);
    await push(hostOf(url), credentials, "os/debian:13", "next");
    await eventually("the tag has followed", 10_000, async () =>
      (await pulled(here, asAdmin(site), "os/debian:13")) === digestOf(next) ? true : undefined,
    );
  }, 60_000);
});
