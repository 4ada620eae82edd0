// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { lstat, mkdir, mkdtemp, readdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import { silentLog } from "../../src/base/deps.ts";
import { main } from "../../src/cli/main.ts";
import { pushManifest } from "../../src/registry/client/manifest-transfer.ts";
import { pushBlob } from "../../src/registry/client/push-blob.ts";
import { digestOf } from "../../src/registry/digest.ts";
import { MEDIA_TYPE } from "../../src/registry/manifest.ts";
import { noise } from "../registry/served.ts";
import { FakeTerminal } from "./fake-terminal.ts";
import { World } from "./world.ts";

test("a file goes up, is listed, comes down the same and is removed", async () => {
  await using world = await World.open();
  const content = crypto.getRandomValues(new Uint8Array(300_000));
  const file = await world.file("root.tar.zst", content);
  const pushed = await world.run(`artifact push ${file} os-images/debian:13`);
  expect(pushed).toMatchObject({ code: 0, err: "" });
  expect(pushed.out).toMatch(/^os-images\/debian:13 sha256:[0-9a-f]{64}$/);
  const digest = pushed.out.split(" ")[1] ?? "";

  const again = await world.run(`artifact push ${file} os-images/debian:13 --json`);
  expect(JSON.parse(again.out)).toEqual({
    reference: "os-images/debian:13",
    digest,
    artifact_type: "application/vnd.prov.file.v1",
    layer: {
      title: "root.tar.zst",
      media_type: "application/octet-stream",
      digest: digestOf(content),
      size: 300_000,
    },
  });

  const listed = await world.run("artifact list");
  expect(listed.out.split("\n")[0]).toMatch(/^ARTIFACT +DIGEST +UPDATED +SIZE$/);
  expect(listed.out.split("\n")[1]).toMatch(
    new RegExp(`^os-images/debian:13 +${digest} +20\\d\\d-.* {2}293\\.0 KiB$`),
  );
  expect((await world.run("artifact list os-images/")).out).toBe(listed.out);
  expect((await world.run("artifact list tools/")).out.split("\n")).toHaveLength(1);

  const copy = join(world.directory, "copy");
  for (const reference of ["os-images/debian:13", `os-images/debian@${digest}`]) {
    const pulled = await world.run(`artifact pull ${reference} ${copy}`);
    expect(pulled).toMatchObject({ code: 0, err: "" });
    expect(await Bun.file(copy).bytes()).toEqual(content);
  }

  const removed = await world.run("artifact rm os-images/debian:13", { as: "admin" });
  expect(removed).toEqual({ code: 0, out: "os-images/debian:13 removed", err: "" });
  expect(JSON.parse((await world.run("artifact list --json")).out)).toEqual({ artifacts: [] });
  const gone = await world.run("artifact rm os-images/debian:13", { as: "admin" });
  expect(gone).toEqual({
    code: 1,
    out: "",
    err: 'prov: There is no artifact "os-images/debian:13"',
  });
});

test.each([
  {
    what: "an artifact that is not there",
    words: "artifact pull os-images/none:1 copy",
    code: 1,
    err: /^prov: Cannot pull os-images\/none .*: 1 is not there\n {2}Push the artifact/,
  },
  {
    what: "a file that is not there",
    words: "artifact push /nonexistent/root.tar os-images/debian:13",
    code: 2,
    err: /^prov: Cannot read \/nonexistent\/root\.tar: there is no such file$/,
  },
  {
    what: "another registry",
    words: "artifact push /etc/hostname docker.io/debian:13",
    code: 2,
    err: /without a registry host\n {2}These commands speak/,
  },
  {
    what: "a digest to push to",
    words: `artifact push /etc/hostname debian@sha256:${"0".repeat(64)}`,
    code: 2,
    err: /a digest cannot be chosen\n {2}Name a tag/,
  },
  {
    what: "a type that is none",
    words: "artifact push /etc/hostname debian:13 --type=floppy",
    code: 2,
    err: /^prov: Cannot use --type=floppy: it is no media type\n {2}Use rootfs, wim, iso, disk, file,/,
  },
  {
    what: "a level that is none",
    words: "artifact push /etc/hostname debian:13 --zstd-level=22",
    code: 2,
    err: /^prov: Cannot use --zstd-level=22: levels are 1 to 19$/,
  },
  {
    what: "a file to compress that is no tar",
    words: "artifact push /etc/hostname debian:13 --zstd",
    code: 2,
    err: /^prov: Cannot compress \/etc\/hostname: it is not a tar\n {2}Only tars/,
  },
  {
    what: "a pull into a pipe",
    words: "artifact pull debian:13 -",
    code: 2,
    err: /^prov: Cannot pull to standard output/,
  },
  {
    what: "a reference that is none",
    words: "artifact rm Debian:13",
    code: 1,
    err: /"Debian" is not a repository name/,
  },
])("says what is wrong with $what", async ({ words, code, err }) => {
  await using world = await World.open();
  const ran = await world.run(words);
  expect(ran).toMatchObject({ code, out: "" });
  expect(ran.err).toMatch(err);
});

test("nobody but a user of the controller pushes (exit code 6)", async () => {
  await using world = await World.open();
  const file = await world.file("x.tar", "x");
  const words = `artifact push ${file} os-images/debian:13`;
  expect((await world.run(words, { as: "stranger" })).code).toBe(6);
  expect((await world.run(words, { as: "reader" })).code).toBe(6);
});

test.each(["push /etc/hostname a:1", "pull a:1 /nonexistent/copy", "show a:1", "list"])(
  "%s: a controller that is away is not waited for (exit code 5)",
  async (words) => {
    const terminal = new FakeTerminal({ env: { PROV_USER: "a", PROV_PASSWORD: "a" } });
    const code = await main(["artifact", ...words.split(" ")], terminal, {
      fetch: () => Promise.reject(new Error("connection refused")),
      now: () => 0,
      sleep: () => Promise.reject(new Error("it waits")),
    });
    expect({ code, out: terminal.outLines }).toEqual({ code: 5, out: [] });
    expect(terminal.errLines.join("\n")).toMatch(/^prov: Cannot .*: connection refused$/m);
  },
);

test.each([429, 503])(
  "a controller that answers %d once has answered, and is asked again",
  async (status) => {
    await using world = await World.open();
    await world.run(`artifact push ${await world.file("x.tar", "x")} a:1`);
    const terminal = new FakeTerminal({ env: { PROV_USER: "reader", PROV_PASSWORD: "reader" } });
    let asked = 0;
    const outside = { now: Date.now, sleep: () => Promise.resolve() };
    const code = await main(["artifact", "show", "a:1"], terminal, {
      ...outside,
      // The first two questions: whether anybody is there, and the first of substance.
      fetch: async (url, init) =>
        asked++ < 2 ? new Response(null, { status }) : await world.fetch(url, init),
    });
    expect(code).toBe(0);
  },
);

test("a pull that fails leaves no file, and says why", async () => {
  await using world = await World.open();
  const file = await world.file("root.tar", "x".repeat(1000));
  await world.run(`artifact push ${file} a:1`);
  const ran = await world.run("artifact pull a:1 /nonexistent/copy");
  expect(ran).toMatchObject({ code: 2, out: "" });
  expect(ran.err).toBe("prov: Cannot write /nonexistent/copy: there is no such file");
  expect(existsSync("/nonexistent/copy.part")).toBe(false);
});

test.each(["rootfs", "application/vnd.prov.rootfs.v1"])("--type=%s", async (type) => {
  await using world = await World.open();
  const file = await world.file("x", "x");
  const pushed = await world.run(`artifact push ${file} a:1 --json --type=${type}`);
  expect(JSON.parse(pushed.out).artifact_type).toBe("application/vnd.prov.rootfs.v1");
});

test("--zstd says what became of the file", async () => {
  await using world = await World.open();
  const words = await world.file("words", "words\n".repeat(100_000));
  const tar = join(world.directory, "root.tar");
  const child = Bun.spawn(["tar", "--create", `--file=${tar}`, "-C", world.directory, "words"]);
  expect(await child.exited).toBe(0);
  const pushed = await world.run(`artifact push ${tar} a:1 --zstd`);
  expect(pushed.code).toBe(0);
  expect(pushed.err).toMatch(/root\.tar went as root\.tar\.zst, \d/);
  const pulled = await world.run(`artifact pull a:1 ${world.directory}`);
  expect(pulled.out).toStartWith(`${world.directory}/root.tar.zst sha256:`);
  const bytes = zstdDecompressSync(await Bun.file(`${tar}.zst`).bytes());
  expect(bytes.indexOf(await Bun.file(words).text())).toBeGreaterThan(0);
});

test("a push that is stopped leaves where it was, and the next one goes on", async () => {
  await using world = await World.open();
  const content = noise(3_000_000);
  const file = await world.file("root.tar", content);
  const terminal = new FakeTerminal({
    env: {
      PROV_USER: "operator",
      PROV_PASSWORD: "operator",
      XDG_STATE_HOME: join(world.directory, "state"),
    },
    isInteractive: true,
  });
  const { fetch } = world;
  const asked: string[] = [];
  const stopping: typeof fetch = async (url, init) => {
    if (init?.method === "PATCH") terminal.stop.abort(new DOMException("SIGINT", "AbortError"));
    terminal.signal.throwIfAborted();
    return await fetch(url, init);
  };
  const outside = { now: Date.now, sleep: world.site.clock.sleep };
  const words = ["artifact", "push", file, "a:1"];
  expect(await main(words, terminal, { ...outside, fetch: stopping })).toBe(1);
  expect(terminal.errLines).toEqual([
    `${file} is not all there yet: the same command goes on with it`,
  ]);
  const directory = join(world.directory, "state/prov/uploads");
  expect(await readdir(directory)).toHaveLength(1);
  const watching: typeof fetch = (url, init) => {
    asked.push(`${init?.method} ${new URL(url).pathname.split("/").slice(3, 5).join("/")}`);
    return fetch(url, init);
  };
  const again = new FakeTerminal({ env: terminal.env, isInteractive: true });
  expect(await main(words, again, { ...outside, fetch: watching })).toBe(0);
  expect(asked.slice(1, 5)).toEqual([
    expect.stringMatching(/^HEAD blobs\/sha256:/),
    "GET blobs/uploads",
    "PATCH blobs/uploads",
    "PUT blobs/uploads",
  ]);
  expect(await readdir(directory)).toEqual([]);
  expect(again.drawn.some((line) => /^hashing {2}\[#*-*\] +\d+% {2}/.test(line))).toBe(true);
  expect(again.drawn.at(-1)).toMatch(/^sending {2}\[#{30}\] 100% {2}2\.9 MiB of 2\.9 MiB/);
});

describe("pull", () => {
  const content = noise(2_000_000);

  async function pushed(): Promise<World> {
    const world = await World.open();
    const file = await world.file("root.tar", content);
    expect((await world.run(`artifact push ${file} a:1`)).code).toBe(0);
    return world;
  }

  function terminalOf(world: World): FakeTerminal {
    return new FakeTerminal({
      env: { PROV_USER: "reader", PROV_PASSWORD: "reader", HOME: world.directory },
    });
  }

  test("R49: goes on with what an interrupted one has left", async () => {
    await using world = await pushed();
    const copy = join(world.directory, "copy");
    const ranges: (string | null)[] = [];
    let blobs = 0;
    const terminal = terminalOf(world);
    const stopping: typeof world.fetch = async (url, init) => {
      const response = await world.fetch(url, init);
      if (!url.includes("/blobs/") || ++blobs > 1) return response;
      const bytes = await response.bytes();
      let sent = 0;
      return new Response(
        new ReadableStream({
          pull(controller) {
            if (sent >= 1_000_000) terminal.stop.abort(new DOMException("SIGINT", "AbortError"));
            controller.enqueue(bytes.slice(sent, sent + 100_000));
            sent += 100_000;
          },
        }),
      );
    };
    const outside = { now: Date.now, sleep: world.site.clock.sleep };
    const words = ["artifact", "pull", "a:1", copy];
    expect(await main(words, terminal, { ...outside, fetch: stopping })).toBe(1);
    expect(terminal.errLines).toEqual([
      expect.stringMatching(/copy\.part has .* of 1\.9 MiB: the same command goes on with it$/),
    ]);
    expect(existsSync(copy)).toBe(false);
    const kept = Bun.file(`${copy}.part`).size;
    expect(kept).toBeGreaterThanOrEqual(900_000);

    const watching: typeof world.fetch = (url, init) => {
      if (url.includes("/blobs/")) ranges.push(new Headers(init?.headers).get("range"));
      return world.fetch(url, init);
    };
    expect(await main(words, terminalOf(world), { ...outside, fetch: watching })).toBe(0);
    expect(ranges).toEqual([`bytes=${kept}-`]);
    expect(await Bun.file(copy).bytes()).toEqual(content);
    expect(existsSync(`${copy}.part`)).toBe(false);
  });

  test.each([
    ["other bytes", noise(1_000_000, 7)],
    ["more bytes", noise(3_000_000)],
    ["all of it", content],
    ["nothing", new Uint8Array()],
  ])("R49: a partial file with %s ends in the right file", async (_what, bytes) => {
    await using world = await pushed();
    const copy = join(world.directory, "copy");
    await Bun.write(`${copy}.part`, bytes);
    expect(await world.run(`artifact pull a:1 ${copy}`)).toMatchObject({ code: 0, err: "" });
    expect(await Bun.file(copy).bytes()).toEqual(content);
    expect(existsSync(`${copy}.part`)).toBe(false);
  });

  test("a link in the partial file's place is not written through", async () => {
    await using world = await pushed();
    const copy = join(world.directory, "copy");
    const victim = await world.file("victim", "precious");
    await symlink(victim, `${copy}.part`);
    expect((await world.run(`artifact pull a:1 ${copy}`)).code).toBe(2);
    expect(await Bun.file(victim).text()).toBe("precious");
  });

  test("R49: a registry that refuses the rest takes nothing away", async () => {
    await using world = await pushed();
    const copy = join(world.directory, "copy");
    const part = content.slice(0, 900_000);
    await Bun.write(`${copy}.part`, part);
    const { now, sleep } = world.site.clock;
    const refusing: typeof world.fetch = (url, init) =>
      url.includes("/blobs/")
        ? Promise.resolve(new Response("not today", { status: 400 }))
        : world.fetch(url, init);
    const terminal = terminalOf(world);
    const words = ["artifact", "pull", "a:1", copy];
    expect(await main(words, terminal, { now, sleep, fetch: refusing })).toBe(1);
    expect(terminal.errLines.join("\n")).toContain("HTTP 400: not today");
    expect(await Bun.file(`${copy}.part`).bytes()).toEqual(part);
  });

  test("R49: two at once do not write into one file", async () => {
    await using world = await pushed();
    const other = await world.file("other.tar", noise(2_000_000, 9));
    expect((await world.run(`artifact push ${other} a:2`)).code).toBe(0);
    const copy = join(world.directory, "copy");
    const [half, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const pausing: typeof world.fetch = async (url, init) => {
      const response = await world.fetch(url, init);
      if (!url.includes("/blobs/")) return response;
      const bytes = await response.bytes();
      const parts = async function* () {
        yield bytes.subarray(0, 1_000_000);
        half.resolve();
        await goOn.promise;
        yield bytes.subarray(1_000_000);
      };
      return new Response(parts());
    };
    const { now, sleep } = world.site.clock;
    const outside = { now, sleep, fetch: pausing };
    const first = main(["artifact", "pull", "a:1", copy], terminalOf(world), outside);
    await half.promise;
    for (const reference of ["a:1", "a:2"]) {
      expect(await world.run(`artifact pull ${reference} ${copy}`)).toMatchObject({
        code: 1,
        out: "",
        err: expect.stringMatching(
          /^prov: Cannot write .*copy\.part: another prov is writing it\n/,
        ),
      });
    }
    goOn.resolve();
    expect(await first).toBe(0);
    expect(await Bun.file(copy).bytes()).toEqual(content);
    expect(await world.run(`artifact pull a:2 ${copy}`)).toMatchObject({ code: 0, err: "" });
    expect(await Bun.file(copy).bytes()).toEqual(noise(2_000_000, 9));
  });

  test("what is no regular file is left as it is: a pipe, a link to a device", async () => {
    await using world = await pushed();
    const pipe = join(world.directory, "pipe");
    expect(await Bun.spawn(["mkfifo", pipe]).exited).toBe(0);
    const link = join(world.directory, "link");
    await symlink("/dev/null", link);
    for (const path of [pipe, link]) {
      const before = (await lstat(path)).ino;
      expect(await world.run(`artifact pull a:1 ${path}`)).toMatchObject({
        code: 2,
        err: expect.stringMatching(/^prov: Cannot write .*: it is not a regular file/),
      });
      expect((await lstat(path)).ino).toBe(before);
      expect(existsSync(`${path}.part`)).toBe(false);
    }
  });

  test.each([
    ["root.tar", "root.tar"],
    ["../../etc/passwd", "passwd"],
    ["/etc/cron.d/job", "job"],
    ["..\\..\\windows.wim", "windows.wim"],
    ["folder/", "folder"],
    ["..", "debian-1"],
    ["", "debian-1"],
    ["a\nb", "debian-1"],
  ])("a title of %j becomes %s in the directory", async (title, name) => {
    await using world = await World.open();
    await pushLayers(world, [{ title, bytes: content }]);
    const into = join(world.directory, "into");
    await mkdir(into);
    const pulled = await world.run(`artifact pull os/debian:1 ${into} --json`);
    expect(JSON.parse(pulled.out).file).toBe(join(into, name));
    expect(await readdir(into)).toEqual([name]);
    expect(await Bun.file(join(into, name)).bytes()).toEqual(content);
  });

  test("--all", async () => {
    await using world = await World.open();
    await pushLayers(world, [
      { title: "a.bin", bytes: noise(1000, 2) },
      { title: "b.bin", bytes: noise(1000, 3) },
    ]);
    const into = join(world.directory, "into");
    const one = await world.run(`artifact pull os/debian:1 ${into}`);
    expect(one.err).toMatch(/it has 2 layers and none stands out: a\.bin \(.*; b\.bin \(/);
    const all = await world.run(`artifact pull os/debian:1 ${into} --all`);
    expect(all.out.split("\n").map((line) => line.split(" ")[0])).toEqual([
      `${into}/a.bin`,
      `${into}/b.bin`,
    ]);
    expect(await Bun.file(`${into}/b.bin`).bytes()).toEqual(noise(1000, 3));

    await pushLayers(world, [
      { title: "x/same", bytes: noise(1000, 2) },
      { title: "y/same", bytes: noise(1000, 3) },
    ]);
    const twice = await world.run(`artifact pull os/debian:1 ${into} --all`);
    expect(twice).toMatchObject({ code: 1, err: expect.stringContaining("several need the name") });
  });

  test("--all: a file that is called as another one is while it comes", async () => {
    await using world = await World.open();
    await pushLayers(world, [
      { title: "a.part", bytes: noise(500, 2) },
      { title: "a", bytes: noise(1000, 3) },
    ]);
    const ran = await world.run(`artifact pull os/debian:1 ${join(world.directory, "into")} --all`);
    expect(ran).toMatchObject({
      code: 1,
      err: expect.stringMatching(/: several need the name .*into\/a\.part$/m),
    });
  });

  test("--all: a directory's tar takes no other file's place", async () => {
    await using world = await World.open();
    const child = Bun.spawn(["sh", "-euc", "mkdir site; tar -cf out.tar site"], {
      cwd: world.directory,
    });
    expect(await child.exited).toBe(0);
    const bytes = await Bun.file(join(world.directory, "out.tar")).bytes();
    await pushLayers(world, [
      { title: "site.tar", bytes: noise(1000, 2) },
      { title: "site", bytes, isDirectory: true },
    ]);
    const into = join(world.directory, "into");
    const ran = await world.run(`artifact pull os/debian:1 ${into} --all`);
    expect(ran).toMatchObject({ code: 0, err: "" });
    expect((await readdir(into)).toSorted()).toEqual(["site", "site.tar"]);
    expect(await Bun.file(join(into, "site.tar")).bytes()).toEqual(noise(1000, 2));
  });

  test("--all unpacks directories, but only the tar of one directory", async () => {
    await using world = await World.open();
    const tarOf = async (script: string) => {
      const cwd = await mkdtemp(join(world.directory, "tar-"));
      const child = Bun.spawn(["sh", "-euc", script], { cwd, stderr: "pipe" });
      expect(await child.exited).toBe(0);
      return new Uint8Array(await Bun.file(join(cwd, "out.tar.gz")).bytes());
    };
    const isDirectory = true;
    const good = await tarOf(
      "mkdir -p site/etc; echo hi > site/etc/motd; chmod 6777 site/etc/motd; tar -czf out.tar.gz site",
    );
    await pushLayers(world, [{ title: "site", bytes: good, isDirectory }]);
    const into = join(world.directory, "into");
    const pulled = await world.run(`artifact pull os/debian:1 ${into} --all`);
    expect(pulled).toMatchObject({ code: 0, err: "" });
    expect(await readdir(into)).toEqual(["site"]);
    expect(await Bun.file(join(into, "site/etc/motd")).text()).toBe("hi\n");
    expect((await lstat(join(into, "site/etc/motd"))).mode & 0o6000).toBe(0);
    const again = await world.run(`artifact pull os/debian:1 ${into} --all`);
    expect(again.err).toMatch(/^prov: Cannot unpack .*\/site: something else is there/);

    const outside = join(world.directory, "outside");
    for (const script of [
      "mkdir a b; tar -czf out.tar.gz a b",
      "echo hi > file; tar -czf out.tar.gz file",
      `mkdir site; ln -s / site/link; tar -cf out.tar site
       mkdir -p .${outside}; echo x > .${outside}/x
       tar -rf out.tar --transform='s,^\\.,site/link,' .${outside}/x; gzip out.tar`,
      `echo x > x; tar -cPf out.tar --transform='s,^,../../outside-,' x; gzip out.tar`,
      "echo no > out.tar.gz",
      "mkdir -p site/a; mkfifo site/a/pipe; tar -czf out.tar.gz site",
    ]) {
      const bad = await tarOf(script);
      await pushLayers(world, [{ title: "bad", bytes: bad, isDirectory }]);
      const ran = await world.run(`artifact pull os/debian:1 ${into} --all`);
      if (!script.includes("link")) expect(ran.code).toBe(1);
      expect(existsSync(join(into, "bad"))).toBe(script.includes("link") && ran.code === 0);
      expect(existsSync(join(world.directory, "outside-x"))).toBe(false);
      expect(existsSync(outside)).toBe(false);
      expect((await readdir(into)).filter((name) => name.startsWith("."))).toEqual([]);
    }
  });

  interface Pushed {
    readonly title: string;
    readonly bytes: Uint8Array<ArrayBuffer>;
    readonly isDirectory?: boolean;
  }

  async function pushLayers(world: World, layers: readonly Pushed[]): Promise<void> {
    const authorization = `Basic ${btoa("operator:operator")}`;
    const remote = {
      registry: "http://controller",
      repository: "os/debian",
      authorization,
      ca: null,
    };
    const { now, sleep } = world.site.clock;
    const deps = { fetch: world.fetch, now, sleep, log: silentLog };
    const blobOf = (bytes: Uint8Array<ArrayBuffer>) => {
      const open = (start: number, end: number) => new Blob([bytes]).slice(start, end);
      return { digest: digestOf(bytes), size: bytes.byteLength, open };
    };
    const config = blobOf(new TextEncoder().encode("{}"));
    for (const blob of [config, ...layers.map(({ bytes }) => blobOf(bytes))]) {
      await pushBlob(remote, blob, deps);
    }
    const manifest = JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.image,
      config: {
        mediaType: "application/vnd.oci.empty.v1+json",
        digest: config.digest,
        size: config.size,
      },
      layers: layers.map(({ title, bytes, isDirectory }) => ({
        mediaType: "application/octet-stream",
        digest: digestOf(bytes),
        size: bytes.byteLength,
        annotations: {
          "org.opencontainers.image.title": title,
          ...(isDirectory === true && { "io.deis.oras.content.unpack": "true" }),
        },
      })),
    });
    await pushManifest(remote, "1", { bytes: manifest, mediaType: MEDIA_TYPE.image }, deps);
  }
});

test("show tells what an artifact is made of", async () => {
  await using world = await World.open();
  const file = await world.file("root.img", noise(1000));
  const { digest } = JSON.parse((await world.run(`artifact push ${file} a:1 --json`)).out);
  await world.run(`artifact push ${file} a:2`);
  const shown = await world.run("artifact show a:1", { as: "reader" });
  expect(shown).toMatchObject({ code: 0, err: "" });
  expect(shown.out).toBe(`artifact  a:1
digest    ${digest}
type      application/vnd.prov.file.v1
size      1002 B
tags      1, 2

LAYER     MEDIA TYPE                SIZE    DIGEST
root.img  application/octet-stream  1000 B  ${digestOf(noise(1000))}`);
  const json = JSON.parse((await world.run(`artifact show a@${digest} --json`)).out);
  expect(json).toEqual({
    reference: `a@${digest}`,
    digest,
    media_type: "application/vnd.oci.image.manifest.v1+json",
    artifact_type: "application/vnd.prov.file.v1",
    created: null,
    size: 1002,
    layers: [
      {
        title: "root.img",
        media_type: "application/octet-stream",
        digest: digestOf(noise(1000)),
        size: 1000,
        annotations: { "org.opencontainers.image.title": "root.img" },
      },
    ],
    manifests: [],
    annotations: {},
    tags: ["1", "2"],
    referrers: [],
  });
});
