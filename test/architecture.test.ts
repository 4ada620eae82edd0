// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { dirname, join, relative } from "node:path";

interface Room {
  /** Rooms it may import from, besides itself. */
  readonly rooms: readonly string[];
  /** Packages it may import; `node:` stands for all of Node's built-in modules. */
  readonly packages: readonly string[];
}

const PURE_ROOMS = ["base", "recipe", "plan", "jobs", "webhook", "workflows"];

/**
 * The rooms of src/, from the top down. Arrows point down this list only; a new one is a decision
 * about the architecture, and the commit that adds it says why.
 */
const ROOMS: Readonly<Record<string, Room>> = {
  cli: {
    rooms: [
      ...PURE_ROOMS,
      "controller",
      "dispatcher",
      "lab",
      "store",
      "redfish",
      "registry",
      "media",
      "exec",
    ],
    packages: ["yargs", "pino", "node:"],
  },
  controller: {
    rooms: [...PURE_ROOMS, "store", "redfish", "registry", "media"],
    packages: ["hono", "pino", "bun", "node:"],
  },
  dispatcher: { rooms: [...PURE_ROOMS, "exec", "registry"], packages: ["node:"] },
  lab: { rooms: ["base", "media"], packages: ["hono", "bun", "node:"] },
  store: { rooms: ["base", "jobs"], packages: ["bun:sqlite", "node:"] },
  redfish: { rooms: ["base"], packages: ["node:"] },
  registry: { rooms: ["base"], packages: ["bun:sqlite", "node:"] },
  media: { rooms: ["base"], packages: ["node:"] },
  exec: { rooms: ["base", "plan"], packages: ["node:"] },
  workflows: { rooms: ["base", "recipe", "plan"], packages: [] },
  plan: { rooms: ["base", "recipe"], packages: [] },
  webhook: { rooms: ["base"], packages: [] },
  jobs: { rooms: ["base"], packages: [] },
  recipe: { rooms: ["base"], packages: ["ajv"] },
  base: { rooms: [], packages: [] },
};

const ROOT = join(import.meta.dir, "..");
const SRC = join(ROOT, "src");

interface Source {
  readonly path: string;
  readonly room: string;
  readonly text: string;
  /** Read from the text, because a transpiler drops the type-only ones, which are dependencies too. */
  readonly imports: readonly string[];
}

async function readSources(): Promise<Source[]> {
  const paths = await Array.fromAsync(new Bun.Glob("*/**/*.ts").scan({ cwd: SRC }));
  return Promise.all(
    paths.map(async (path) => {
      const text = await Bun.file(join(SRC, path)).text();
      const imports = Array.from(
        text.matchAll(/^(?:import|export|\}) .*?from "([^"]+)"/gm),
        (match) => match[1] ?? "",
      );
      return { path, room: path.split("/")[0] ?? "", text, imports };
    }),
  );
}

function mayImport(source: Source, specifier: string): boolean {
  const room = ROOMS[source.room];
  if (room === undefined) return false;
  if (!specifier.startsWith(".")) {
    return room.packages.some(
      (p) => specifier === p || specifier.startsWith(p.endsWith(":") ? p : `${p}/`),
    );
  }
  const [target = ""] = relative(SRC, join(SRC, dirname(source.path), specifier)).split("/");
  // Outside of src/ lie only data: schemas/ and package.json.
  return target === source.room || target === ".." || room.rooms.includes(target);
}

test("rooms import only the rooms and packages they may", async () => {
  const sources = await readSources();
  const violations = sources.flatMap((source) =>
    source.imports
      .filter((specifier) => !mayImport(source, specifier))
      .map((specifier) => `src/${source.path} imports ${specifier}`),
  );
  expect(violations).toEqual([]);
});

test("pure rooms reach for no clock, randomness, network or process", async () => {
  const violations = (await readSources())
    .filter(({ room }) => PURE_ROOMS.includes(room) && room !== "base")
    .filter(({ text }) => /\b(?:Bun|process|fetch|Date|Math\.random|crypto)\b\s*[.(]/.test(text))
    .map(({ path }) => path);
  expect(violations).toEqual([]);
});

test("every source file starts with its licence (R57)", async () => {
  const globs = [
    "src/**/*.{ts,sql}",
    "test/**/*.ts",
    "maintenance-os/**/*.{ts,sh,service,target,container,network,mount,conf}",
    "maintenance-os/**/Containerfile",
    "*.ts",
  ];
  const missing: string[] = [];
  for (const glob of globs) {
    for await (const path of new Bun.Glob(glob).scan({ cwd: ROOT })) {
      if (path.startsWith("node_modules")) continue;
      const head = (await Bun.file(join(ROOT, path)).text()).split("\n", 2).join("\n");
      if (!head.includes("SPDX-License-Identifier: AGPL-3.0-or-later")) missing.push(path);
    }
  }
  expect(missing).toEqual([]);
});
