// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * R59: what README shows is what the code has. The tour itself is run by test/e2e/readme.e2e.ts. After a change,
 * `UPDATE_GOLDEN=1 bun test test/docs` writes the generated tables again.
 */
import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { type ErrorCode, ProvError } from "../../src/base/errors.ts";
import { isObject } from "../../src/base/json.ts";
import { formatBytes } from "../../src/base/units.ts";
import { EXIT } from "../../src/cli/exit.ts";
import { flagOf, SETTINGS } from "../../src/cli/known-settings.ts";
import { resolveSettings } from "../../src/cli/settings.ts";
import { PHASES_OF_WORK } from "../../src/controller/worker/phases.ts";
import { dispatchExitCode } from "../../src/dispatcher/exit.ts";
import { OUTCOMES, PHASES, STATUSES } from "../../src/jobs/lifecycle.ts";
import { parseNetworkConfig } from "../../src/jobs/network-parse.ts";
import { LABEL_BYTES, LEAST_BYTES } from "../../src/recipe/limits.ts";
import { parseRecipe } from "../../src/recipe/parse.ts";
import { partitionTypeGuid } from "../../src/recipe/partition-type.ts";
import type { Format } from "../../src/recipe/recipe.ts";
import { RECIPE_SCHEMA_TEXT } from "../../src/recipe/schema.ts";
import { WORKFLOWS, workflowFor } from "../../src/workflows/all.ts";
import { planRecipe } from "../../src/workflows/plan-recipe.ts";
import { allCommands, type CommandHelp, wordsOf } from "./command-help.ts";
import {
  blocksOf,
  documents,
  generatedSection,
  hereDocuments,
  provCommands,
  ROOT,
  readDocument,
  readReadme,
  renderTable,
  tableUnder,
} from "./readme.ts";

const README = await readReadme();
const BLOCKS = blocksOf(README);
const COMMANDS = await allCommands();

const firstColumn = (heading: string): string[] =>
  tableUnder(README, heading).map(([cell = ""]) => cell);

describe("documents in README", () => {
  const shown = BLOCKS.flatMap(({ language, text }) => [
    ...(language === "json" ? [text] : []),
    ...(language === "sh" ? Object.values(hereDocuments(text)) : []),
  ]);
  const isNetwork = (text: string) =>
    isObject(JSON.parse(text)) && "interfaces" in JSON.parse(text);

  test.each(shown.filter((text) => !isNetwork(text)))("recipe %# can be planned (R14)", (text) => {
    const { recipe, findings } = parseRecipe(text);
    expect(findings).toEqual([]);
    if (recipe === undefined) return;
    const { workflow } = workflowFor(recipe.taskTarget);
    if (workflow === undefined) throw new Error(`no workflow for ${recipe.taskTarget}`);
    const job = {
      serverSerial: "README",
      bootMedium: null,
      artifact: { name: recipe.ociUrl ?? "", digest: null },
      files: "/run/provision",
    };
    const { plans } = planRecipe({ workflow, recipe, job, machine: null, found: {} });
    expect(plans.map(({ step }) => step)).toEqual(workflow.steps.map(({ name }) => name));
  });

  test.each(shown.filter(isNetwork))("network configuration %# is valid", (text) => {
    expect(parseNetworkConfig(JSON.parse(text)).findings).toEqual([]);
  });

  test("there are two recipes and two network configurations", () => {
    expect(shown.map(isNetwork)).toEqual([false, false, true, true]);
  });

  test("the tour's recipe is a fixture", async () => {
    const path = join(ROOT, "test/fixtures/recipes/valid/readme-tour.json");
    expect(shown[0]).toBe(await Bun.file(path).text());
  });

  test("YAML files have keys that exist", () => {
    const [client, serve] = BLOCKS.filter(({ language }) => language === "yaml").map(({ text }) =>
      Bun.YAML.parse(text),
    );
    const keys = tableUnder(README, "Client settings").map(([, key = ""]) => key);
    expect(Object.keys(client ?? {})).toEqual(keys);
    expect(resolveSettings({}, {}, serve).https_addr).toBe("0.0.0.0:8443");
  });
});

const DOCUMENTS = await Promise.all(
  (await documents()).map(async (path) => ({ path, text: await readDocument(path) })),
);

describe("commands in documents", () => {
  const shown = DOCUMENTS.flatMap((document) => [
    ...blocksOf(document.text)
      .filter(({ language }) => language === "sh")
      .flatMap(({ text }) => provCommands(text)),
    ...Array.from(document.text.matchAll(/`(prov [^`]+)`/g), ([, text = ""]) =>
      provCommands(text).flat(),
    ),
  ]);
  const settings = SETTINGS.map(({ key }) => flagOf(key));

  function commandOf(words: readonly string[]): CommandHelp | undefined {
    return COMMANDS.find(({ usage }) => {
      return wordsOf(usage).every((word, i) => words[i] === word);
    });
  }

  test.each(shown.map((words) => [words.join(" "), words] as const))("prov %s", (_text, words) => {
    const isGeneral = /^(?:-|COMMAND$|"\$@"$)/.test(words[0] ?? "");
    const isGroup = COMMANDS.some(({ usage }) => usage.startsWith(`prov ${words.join(" ")} `));
    if (isGeneral || isGroup) return;
    const command = commandOf(words);
    if (command === undefined) throw new Error("there is no such command");
    const flags = words
      .filter((w) => w.startsWith("--"))
      .map((w) => w.slice(2).split("=")[0] ?? "");
    for (const flag of flags) expect(["json", ...command.options]).toContain(flag);
  });

  test("are more than twenty", () => {
    expect(shown.length).toBeGreaterThan(20);
  });

  test("the reference is the program's own help", async () => {
    const rows = COMMANDS.map(({ usage, about, options }) => [
      `\`${usage}\``,
      about,
      options
        .filter((name) => !usage.startsWith("prov serve") || !settings.includes(name))
        .map((name) => `\`--${name}\``)
        .join(" "),
    ]);
    const wanted = renderTable([["command", "what it does", "options"], ...rows]);
    expect(await generatedSection("commands", wanted)).toBe(wanted);
  });

  test("client settings are those that the client reads", async () => {
    const source = await Bun.file(join(ROOT, "src/cli/api-client.ts")).text();
    const read = Array.from(source.matchAll(/setting\("(\w+)"\)/g), ([, key]) => key);
    const rows = tableUnder(README, "Client settings");
    expect(rows.map(([, key]) => key).sort()).toEqual([...new Set(read)].sort());
    expect(rows.map(([env]) => env)).toEqual(
      rows.map(([, key = ""]) => `PROV_${key.toUpperCase()}`),
    );
  });
});

describe("tables in README", () => {
  test("settings of prov serve", async () => {
    const rows = SETTINGS.map((setting) => [
      `\`${setting.key}\``,
      `\`${setting.env}\``,
      "default" in setting ? `\`${setting.default}\`` : "",
      setting.about,
    ]);
    const wanted = renderTable([["key", "environment", "default", "what it is"], ...rows]);
    expect(await generatedSection("settings", wanted)).toBe(wanted);
  });

  test("limits of formats (R15)", async () => {
    const rows = Object.entries(LEAST_BYTES).map(([format, least]) => [
      `\`${format}\``,
      formatBytes(least),
      `${LABEL_BYTES[format as Format]} bytes`,
    ]);
    const wanted = renderTable([["format", "smallest partition", "longest label"], ...rows]);
    expect(await generatedSection("limits", wanted)).toBe(wanted);
  });

  test("exit codes", () => {
    expect(firstColumn("Exit codes").map(Number)).toEqual(Object.values(EXIT));
  });

  test("exit codes of prov dispatch (R29)", async () => {
    const source = await Bun.file(join(ROOT, "src/base/errors.ts")).text();
    const codes = Array.from(source.matchAll(/^ {2}([A-Z_]+): \{ retryable/gm), ([, code]) => code);
    const exits = codes.map((code) =>
      dispatchExitCode(new ProvError("", { code: code as ErrorCode })),
    );
    const all = [...new Set([0, ...exits])].sort((a, b) => a - b);
    expect(firstColumn("Exit codes of prov dispatch").map(Number)).toEqual(all);
  });

  test("statuses, outcomes and phases (R4)", () => {
    expect(firstColumn("status")).toEqual([...STATUSES]);
    expect(firstColumn("phase")).toEqual([...PHASES]);
    const sentence = /^`outcome` is null at first.*?\./ms.exec(README)?.[0] ?? "";
    for (const outcome of OUTCOMES) expect(sentence).toContain(`\`${outcome}\``);
  });

  test("failed_step: the controller's, then the units' (R41)", async () => {
    const inPhases = Object.values(PHASES_OF_WORK).map(({ failedStep }) => failedStep);
    const inSource: string[] = [];
    for await (const file of new Bun.Glob("src/controller/worker/*.ts").scan({ cwd: ROOT })) {
      const text = await Bun.file(join(ROOT, file)).text();
      const found = text.matchAll(/(?:failedStep: |inStep\()"([a-z.-]+)"/g);
      inSource.push(...Array.from(found, ([, step = ""]) => step));
    }
    const units = WORKFLOWS.flatMap(({ steps, reportUnit }) => [
      "provision-dispatcher.service",
      ...steps.map(({ unit }) => unit),
      reportUnit,
    ]);
    // Cleanup warns; it never changes how a job ended.
    const controllers = [...new Set([...inPhases, ...inSource])].filter((s) => s !== "cleanup");
    expect(firstColumn("failed_step").sort()).toEqual([...controllers, ...units].sort());
  });

  test("fields of a recipe and of a partition, and which are required (R15)", () => {
    const schema = JSON.parse(RECIPE_SCHEMA_TEXT);
    const partition = schema.properties.partition_layout.items;
    expect(firstColumn("Recipe fields").sort()).toEqual(Object.keys(schema.properties).sort());
    expect(firstColumn("Partition fields")).toEqual(Object.keys(partition.properties));
    const required = tableUnder(README, "Partition fields").filter(([, about]) =>
      about?.endsWith("Required"),
    );
    expect(required.map(([name]) => name)).toEqual(partition.required);
    for (const branch of schema.allOf) {
      for (const name of branch.then.required ?? []) {
        const row = tableUnder(README, "Recipe fields").find(([field]) => field === name);
        expect(row?.[2]).toMatch(/Required/);
      }
    }
  });

  test("partition type codes", () => {
    for (const code of firstColumn("Often used type codes")) {
      expect(partitionTypeGuid(code)).toBeString();
    }
  });
});

test("what maintenance-os/README.md names is there", async () => {
  const text = await Bun.file(join(ROOT, "maintenance-os/README.md")).text();
  const names = tableUnder(text, "What is in it").flatMap(([cell = ""]) => cell.split(", "));
  expect(names.length).toBeGreaterThan(5);
  for (const name of names) {
    const glob = new Bun.Glob(name.endsWith("/") ? `${name}**` : name);
    const found = await Array.fromAsync(glob.scan({ cwd: join(ROOT, "maintenance-os") }));
    expect({ name, found: found.length > 0 }).toEqual({ name, found: true });
  }
});

test.each(DOCUMENTS)("links in $path lead somewhere", ({ path, text }) => {
  const slug = (heading: string) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w -]/g, "")
      .replaceAll(" ", "-");
  const anchors = Array.from(text.matchAll(/^#+ (.+)$/gm), ([, heading = ""]) => slug(heading));
  const links = Array.from(text.matchAll(/\]\(([^)]+)\)/g), ([, link = ""]) => link);
  const isThere = (link: string) => {
    if (link.startsWith("https://")) return true;
    const [file = "", anchor] = link.split("#");
    if (file === "") return anchors.includes(anchor ?? "");
    return existsSync(join(ROOT, dirname(path), file));
  };
  expect(links.filter((link) => !isThere(link))).toEqual([]);
});
