// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { millis } from "../../src/base/units.ts";
import { type Digest, digestOf } from "../../src/registry/digest.ts";
import { rebuildRegistry } from "../../src/registry/housekeeping/rebuild.ts";
import { MEDIA_TYPE } from "../../src/registry/manifest.ts";
import {
  repositoryBlobPath,
  repositoryPath,
  storePath,
} from "../../src/registry/storage/layout.ts";
import { createTornDisk } from "../helpers/torn-disk.ts";
import { dumpCatalog } from "../registry/catalog-dump.ts";
import { filesBelow } from "../registry/files-below.ts";
import { noise, type Served, serveRegistry, text } from "../registry/served.ts";

/** What a path answers: its content, or null for a 404. */
type Expected = ReadonlyMap<string, string | null>;

interface Step {
  readonly run: (served: Served) => Promise<void>;
  readonly sets: Readonly<Record<string, string | null>>;
}

const DAY_MS = 24 * 3600 * 1000;
const LAYER = new TextDecoder("latin1").decode(noise(3000).map((byte) => byte & 0x7f));
const OTHER = "another layer";

async function ask(served: Served, method: string, path: string, body: string, status: number) {
  const headers = path.includes("/manifests/") ? { "content-type": MEDIA_TYPE.image } : {};
  const init = method === "DELETE" ? { headers } : { body: text(body), headers };
  const response = await served.ask(method, path, init);
  expect([path, response.status]).toEqual([path, status]);
  return response;
}

const blob = (name: string, content: string): string => `${name}/blobs/${digestOf(content)}`;

function whole(name: string, content: string): Step {
  const path = `${name}/blobs/uploads/?digest=${digestOf(content)}`;
  return {
    run: async (served) => void (await ask(served, "POST", path, content, 201)),
    sets: { [blob(name, content)]: content },
  };
}

function chunked(name: string, content: string): Step {
  return {
    async run(served) {
      const begun = await ask(served, "POST", `${name}/blobs/uploads/`, "", 202);
      const location = (begun.headers.get("location") ?? "").replace("/v2/", "");
      await ask(served, "PATCH", location, content.slice(0, 1000), 202);
      await ask(served, "PUT", `${location}?digest=${digestOf(content)}`, content.slice(1000), 201);
    },
    sets: { [blob(name, content)]: content },
  };
}

function mount(from: string, to: string, content: string): Step {
  const path = `${to}/blobs/uploads/?mount=${digestOf(content)}&from=${from}`;
  return {
    run: async (served) => void (await ask(served, "POST", path, "", 201)),
    sets: { [blob(to, content)]: content },
  };
}

const manifestOf = (content: string): string =>
  JSON.stringify({
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.image,
    config: { mediaType: "application/x", digest: digestOf("{}"), size: 2 },
    layers: [{ mediaType: "application/x", digest: digestOf(content), size: content.length }],
  });

function tagged(name: string, tag: string, content: string): Step {
  const json = manifestOf(content);
  return {
    run: async (served) => void (await ask(served, "PUT", `${name}/manifests/${tag}`, json, 201)),
    sets: {
      [`${name}/manifests/${tag}`]: json,
      [`${name}/manifests/${digestOf(json)}`]: json,
    },
  };
}

function removed(path: string, more: Step["sets"] = {}): Step {
  return {
    run: async (served) => void (await ask(served, "DELETE", path, "", 202)),
    sets: { [path]: null, ...more },
  };
}

function collected(...gone: string[]): Step {
  return {
    run: collect,
    sets: Object.fromEntries(gone.map((path) => [path, null])),
  };
}

async function collect(served: Served): Promise<void> {
  await served.registry.housekeeping.collect({
    dryRun: false,
    grace: millis(0),
    inUse: () => Promise.resolve(new Map()),
  });
}

const STEPS: readonly Step[] = [
  whole("a", "{}"),
  chunked("a", LAYER),
  tagged("a", "v1", LAYER),
  mount("a", "a/b", LAYER),
  whole("a/b", "{}"),
  tagged("a/b", "v1", LAYER),
  whole("a", OTHER),
  tagged("a", "v1", OTHER),
  removed(`a/manifests/${digestOf(manifestOf(LAYER))}`),
  collected(blob("a", LAYER)),
  removed("a/b/manifests/v1"),
  removed(`a/b/manifests/${digestOf(manifestOf(LAYER))}`),
  collected(blob("a/b", LAYER), blob("a/b", "{}")),
  chunked("a/b", LAYER),
  removed(blob("a/b", LAYER)),
];

/** What was acknowledged by so many steps, and what the next one may have changed already. */
function expectedAfter(steps: number): { certain: Expected; maybe: Expected } {
  const certain = new Map<string, string | null>();
  for (const { sets } of STEPS.slice(0, steps)) {
    for (const [path, content] of Object.entries(sets)) certain.set(path, content);
  }
  return { certain, maybe: new Map(Object.entries(STEPS[steps]?.sets ?? {})) };
}

async function check(served: Served, steps: number): Promise<void> {
  const { certain, maybe } = expectedAfter(steps);
  for (const [path, content] of certain) {
    const response = await served.ask("GET", path);
    const found = response.ok ? await response.text() : null;
    if (response.status !== 200) expect([path, response.status]).toEqual([path, 404]);
    const allowed = maybe.has(path) ? [content, maybe.get(path)] : [content];
    expect([path, allowed.includes(found)]).toEqual([path, true]);
  }
}

interface Listed {
  readonly repository: string;
  readonly digest: Digest;
}

/** The files that the catalog speaks of. */
function listedFiles(root: string): string[] {
  const dump = dumpCatalog(root);
  const listed = [...(dump.blobs ?? []), ...(dump.manifests ?? [])] as Listed[];
  const repositories = [...new Set((dump.repositories as { name: string }[]).map((r) => r.name))];
  const paths = [
    ...listed.map(({ repository, digest }) => repositoryBlobPath(root, repository, digest)),
    ...listed.map(({ digest }) => storePath(root, digest)),
    ...repositories.flatMap((name) =>
      ["index.json", "oci-layout"].map((file) => join(repositoryPath(root, name), file)),
    ),
  ];
  return [...new Set(paths.map((path) => path.slice(root.length + 1)))].sort();
}

async function filesOfContent(root: string): Promise<string[]> {
  return (await filesBelow(root)).filter((path) => !/^(?:audit\/|policy\.json$)/.test(path));
}

/** Opens what a power cut has left, and looks whether it is what it should be. */
async function checkCut(root: string, steps: number): Promise<void> {
  const served = await serveRegistry({ root, now: () => Date.now() + 2 * DAY_MS });
  try {
    await check(served, steps);
    await collect(served);
    await served.crash();
    await served.registry.close();
    expect(await filesOfContent(root)).toEqual(listedFiles(root));
    const before = dumpCatalog(root);
    expect((await rebuildRegistry(root, Date.now)).problems).toEqual([]);
    expect(dumpCatalog(root)).toEqual(before);
  } finally {
    await served[Symbol.asyncDispose]();
  }
}

test("R49, R50: a power cut at any operation of the disk loses nothing that was acknowledged", async () => {
  const work = await mkdtemp(join(tmpdir(), "prov-cut-"));
  const root = join(work, "root");
  await mkdir(root);
  const torn = createTornDisk(root, ["index.db", "index.db-wal"]);
  /** By the number of operations: steps acknowledged until then. */
  const acknowledged: number[] = [];
  try {
    {
      await using served = await serveRegistry({
        root,
        disk: torn.disk,
        sleep: () => Promise.resolve(),
      });
      for (const [i, { run }] of STEPS.entries()) {
        await run(served);
        torn.mark();
        acknowledged[torn.moments.length] = i + 1;
      }
    }
    let steps = 0;
    let cuts = 0;
    for (let count = 0; count <= torn.moments.length; count++) {
      steps = acknowledged[count] ?? steps;
      if (steps === STEPS.length) break;
      for (const unsynced of ["lost", "torn"] as const) {
        const target = join(work, `${count}-${unsynced}`);
        await mkdir(target);
        await torn.restore(count, unsynced, target);
        await checkCut(target, steps);
        cuts++;
      }
    }
    console.log(`${cuts} power cuts, at each of ${torn.moments.length} operations, twice`);
    expect(cuts).toBeGreaterThan(200);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}, 240_000);
