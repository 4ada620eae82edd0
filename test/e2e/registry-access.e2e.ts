// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * R51: robots, prefixes that are open to everybody, immutable tags and a registry that is read-only, as oras and
 * podman meet them, with passwords and with tokens.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runClient } from "../helpers/clients.ts";
import { noise } from "../registry/served.ts";
import { BINARY, ISO } from "./site.ts";
import { Controller, expectProgram, freePort } from "./world.ts";

const AUTHS = ["basic", "bearer"] as const;
const OPEN = `
rules:
  - repositories: open/**
    pull: [anonymous]
    immutable_tags: ["v*"]
  - repositories: small/**
    quota: 1M
`;

let work: string;

interface Site {
  readonly controller: Controller;
  readonly host: string;
  /** `robot+ci` and its token. */
  readonly credentials: string;
}
const sites = new Map<string, Site>();

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), "prov-access-"));
  for (const auth of AUTHS) sites.set(auth, await startSite(auth));
  await Bun.write(join(work, "tool/Containerfile"), "FROM scratch\nCOPY tool /tool\n");
  await Bun.write(join(work, "tool/tool"), noise(3_000_000, 7));
  await Bun.write(join(work, "first.bin"), noise(300_000, 1));
  await Bun.write(join(work, "second.bin"), noise(300_000, 2));
  await Bun.write(join(work, "large.bin"), noise(3_000_000, 3));
  await podman("build", "--isolation=chroot", "--tag=localhost/tool:1", "tool");
}, 600_000);

afterAll(async () => {
  for (const { controller } of sites.values()) await controller.stop();
  await rm(work, { recursive: true, force: true });
});

async function startSite(auth: string): Promise<Site> {
  const port = freePort();
  const directory = join(work, auth);
  await mkdir(directory, { recursive: true });
  const flags = ["--worker-concurrency=0", `--registry-auth=${auth}`];
  const controller = new Controller(
    { binary: BINARY, iso: ISO, directory },
    { port, publicUrls: [`http://127.0.0.1:${port}`], flags },
  );
  await controller.start();
  await setPolicy(controller, OPEN);
  const add = ["robot", "add", "ci", "--allow=**:pull,push,delete", "--json"];
  const { user, token } = JSON.parse(await prov(controller, add));
  return { controller, host: `127.0.0.1:${port}`, credentials: `${user}:${token}` };
}

async function prov(controller: Controller, words: readonly string[], stdin = ""): Promise<string> {
  return await expectProgram([BINARY, ...words], { env: controller.env, stdin });
}

const setPolicy = (controller: Controller, policy: string) =>
  prov(controller, ["registry", "policy", "set", "-"], policy);

const run = (...argv: string[]) => runClient(argv, { directory: work });
const podman = (...argv: string[]) =>
  run(
    ...["podman", "--storage-driver=vfs", `--root=${work}/store`, `--runroot=${work}/runroot`],
    ...["--cgroup-manager=cgroupfs", ...argv],
  );

/** What a program says when it fails. */
const failure = (attempt: Promise<string>): Promise<string> =>
  attempt.then(
    () => "it did not fail",
    (error: Error) => error.message,
  );

describe.each(AUTHS)("asked for %s", (auth) => {
  const site = (): Site => {
    const found = sites.get(auth);
    if (found === undefined) throw new Error(`no site for ${auth}`);
    return found;
  };
  const at = (name: string) => `${site().host}/${name}`;
  const [user, password] = [() => "robot+ci", () => site().credentials.split(":")[1] ?? ""];
  const oras = (verb: readonly string[], ...rest: string[]) =>
    run("oras", ...verb, "--plain-http", ...rest);
  const asRobot = () => [`--username=${user()}`, `--password=${password()}`];
  // One after the other: of several failures at once this oras makes a panic.
  const push = (reference: string, file: string) =>
    oras(
      ["push"],
      ...asRobot(),
      "--concurrency=1",
      at(reference),
      `${file}:application/octet-stream`,
    );

  test("a robot pushes with podman and oras; everybody pulls from where it is open", async () => {
    const image = at("open/tool:v1");
    const creds = `--creds=${site().credentials}`;
    await podman("push", "--tls-verify=false", creds, "localhost/tool:1", image);
    await podman("pull", "--tls-verify=false", image);
    await podman("rmi", image);
    await push("open/file:1", "first.bin");
    await oras(["pull"], `--output=open-${auth}`, at("open/file:1"));
    await push("closed/file:1", "first.bin");
    const denied = await failure(oras(["pull"], `--output=no-${auth}`, at("closed/file:1")));
    expect(denied).toMatch(/401|credential|unauthorized/i);
    const nobody = podman("pull", "--tls-verify=false", at("closed/file:1"));
    expect(await failure(nobody)).toMatch(/unauthorized|authentication required/i);
  }, 120_000);

  test("an immutable tag stays, and both say why", async () => {
    await push("open/fixed:v1", "first.bin");
    expect(await failure(push("open/fixed:v1", "second.bin"))).toContain("the tag v1 is immutable");
    const creds = `--creds=${site().credentials}`;
    const again = podman(
      "push",
      "--tls-verify=false",
      creds,
      "localhost/tool:1",
      at("open/fixed:v1"),
    );
    expect(await failure(again)).toContain("the tag v1 is immutable");
    const remove = oras(["manifest", "delete"], "--force", ...asRobot(), at("open/fixed:v1"));
    expect(await failure(remove)).toContain("is immutable");
  }, 120_000);

  test("a quota ends a push, and both say which", async () => {
    expect(await failure(push("small/file:1", "large.bin"))).toContain(
      "the quota of small/** is 1 MiB",
    );
    const creds = `--creds=${site().credentials}`;
    const image = podman(
      "push",
      "--tls-verify=false",
      creds,
      "localhost/tool:1",
      at("small/tool:1"),
    );
    expect(await failure(image)).toContain("the quota of small/** is 1 MiB");
  }, 120_000);

  test("a registry that is read-only says so at once, and nobody tries again for long", async () => {
    await push("open/still:1", "first.bin");
    await setPolicy(site().controller, `read_only: true\n${OPEN}`);
    try {
      const start = performance.now();
      expect(await failure(push("open/file:2", "second.bin"))).toContain("read-only");
      const creds = `--creds=${site().credentials}`;
      const image = ["localhost/tool:1", at("open/x:1")];
      const pushed = podman("push", "--tls-verify=false", creds, ...image);
      expect(await failure(pushed)).toContain("read-only");
      // podman waits seconds between tries of what it takes for a passing failure.
      expect(performance.now() - start).toBeLessThan(15_000);
      await oras(["pull"], `--output=still-${auth}`, at("open/still:1"));
    } finally {
      await setPolicy(site().controller, OPEN);
    }
  }, 120_000);

  test("the audit log has who did what", async () => {
    await push("open/audited:v1", "first.bin");
    await failure(push("open/audited:v1", "second.bin"));
    await failure(oras(["manifest", "delete"], "--force", ...asRobot(), at("open/audited:v1")));
    const words = ["registry", "audit", "--repository=open/audited", "--json"];
    const { events } = JSON.parse(await prov(site().controller, words));
    const said = events
      .map((event: Record<string, string>) =>
        [event.identity, event.action, event.outcome, event.address].join(" "),
      )
      .filter((line: string) => !line.includes("push-blob"));
    expect(said).toEqual([
      "robot:ci delete denied 127.0.0.1",
      "robot:ci push denied 127.0.0.1",
      "robot:ci push done 127.0.0.1",
    ]);
  }, 120_000);
});
