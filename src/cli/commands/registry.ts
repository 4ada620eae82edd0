// SPDX-License-Identifier: AGPL-3.0-or-later
import { existsSync } from "node:fs";
import { join } from "node:path";
import { ProvError } from "../../base/errors.ts";
import { arrayAt, at, stringAt } from "../../base/json.ts";
import { formatBytes, formatDuration, seconds } from "../../base/units.ts";
import { rebuildRegistry } from "../../registry/housekeeping/rebuild.ts";
import { connect } from "../api-client.ts";
import { type Cli, type Command, command, group, print } from "../command.ts";
import { EXIT } from "../exit.ts";
import { onFile } from "../files.ts";
import { parseDuration } from "../setting-values.ts";
import { resolveSettings } from "../settings.ts";
import { progressBar, table } from "../table.ts";
import { registryAuditCommand } from "./registry-audit.ts";
import { registryPolicyCommand } from "./registry-policy.ts";

interface GcArgs {
  dryRun?: boolean;
  grace?: string;
  json?: boolean;
}

interface RebuildArgs {
  storageRoot?: string;
  json?: boolean;
}

export function registryCommand(cli: Cli): Command {
  return group("registry", "the controller's registry itself", [
    registryPolicyCommand(cli),
    registryAuditCommand(cli),
    ...upkeepCommands(cli),
  ]);
}

function upkeepCommands(cli: Cli): Command[] {
  return [
    command<GcArgs>({
      command: "gc",
      describe: "remove what nothing needs any more",
      options: {
        "dry-run": { type: "boolean", describe: "say what would be removed, and remove nothing" },
        grace: {
          type: "string",
          describe: "spare what came within this time, such as 2h [registry_gc_grace_period]",
        },
      },
      run: (args) => collect(cli, args),
    }),
    command<{ json?: boolean }>({
      command: "scrub",
      describe: "read everything that is stored, and quarantine what is damaged",
      run: (args) => scrub(cli, args.json),
    }),
    command<RebuildArgs>({
      command: "rebuild",
      describe: "make the catalog again from what is on the disk, while prov serve is stopped",
      options: {
        "storage-root": { type: "string", describe: "directory of the controller (STORAGE_ROOT)" },
      },
      run: (args) => rebuild(cli, args),
    }),
    command<{ json?: boolean }>({
      command: "du",
      describe: "what takes the space",
      run: (args) => showUsage(cli, args.json),
    }),
  ];
}

async function collect(cli: Cli, { dryRun, grace, json }: GcArgs): Promise<void> {
  const api = await connect(cli);
  const report = await api.call("POST", "/api/v1/registry/gc", {
    dry_run: dryRun === true,
    ...(grace !== undefined && { grace_seconds: parseDuration("--grace", grace) / 1000 }),
  });
  print(cli, json, report, () => renderReport(report));
}

const PHASES = ["tags", "manifests", "blobs", "strays", "repositories"];

function renderReport(report: unknown): string {
  const isDry = at(report, "dry_run") === true;
  const counts = PHASES.map((phase) => {
    const [count, bytes] = ["count", "bytes"].map((key) => Number(at(report, phase, key)));
    return [phase, String(count), formatBytes(bytes ?? 0)];
  });
  const removed = arrayAt(report, "removed").map((each) => {
    const [repository = "", name = ""] = ["repository", "name"].map((key) => stringAt(each, key));
    const isTag = stringAt(each, "phase") === "tags";
    const place =
      repository === "" || repository === name ? "" : `${repository}${isTag ? ":" : "@"}`;
    return `${isDry ? "would remove" : "removed"} ${place}${name}`;
  });
  const took = formatDuration(Number(at(report, "took_ms")));
  return [
    ...removed,
    table([[isDry ? "WOULD GO" : "GONE", "COUNT", "SIZE"], ...counts]),
    `took ${took}, sparing what came within ${formatDuration(Number(at(report, "grace_seconds")) * 1000)}`,
  ].join("\n");
}

const INTERVAL = seconds(1);

async function scrub(cli: Cli, json: boolean | undefined): Promise<void> {
  const { terminal } = cli;
  const api = await connect(cli);
  let progress = await api.call("POST", "/api/v1/registry/scrub");
  while (at(progress, "running") === true) {
    const [done, total] = ["bytes", "total_bytes"].map((key) => Number(at(progress, key)));
    if (terminal.isInteractive) {
      terminal.redraw(
        `scrub  ${progressBar(done ?? 0, total ?? 0, 30)}  ${formatBytes(done ?? 0)}`,
      );
    }
    await cli.sleep(INTERVAL, terminal.signal);
    progress = await api.call("GET", "/api/v1/registry/scrub");
  }
  print(cli, json, progress, () => renderScrub(progress));
  const isHurt = arrayAt(progress, "damages").some(
    (damage) => at(damage, "outcome") !== "repaired",
  );
  const isThrough = stringAt(progress, "finished_at") !== undefined;
  if (isHurt || !isThrough) cli.exitCode = EXIT.failed;
}

function renderScrub(progress: unknown): string {
  const damages = arrayAt(progress, "damages").flatMap((damage) => [
    `${stringAt(damage, "outcome")}: ${stringAt(damage, "digest")}`,
    ...arrayAt(damage, "places").map((place) => {
      const tags = arrayAt(place, "tags").join(", ");
      return `  ${stringAt(place, "repository")}${tags === "" ? "" : `: ${tags}`}`;
    }),
    ...(stringAt(damage, "file") === undefined ? [] : [`  kept in ${stringAt(damage, "file")}`]),
  ]);
  const isThrough = stringAt(progress, "finished_at") !== undefined;
  const read = `${at(progress, "contents")} contents, ${formatBytes(Number(at(progress, "bytes")))} read`;
  const end = isThrough ? "" : "; cut short, see the controller's log";
  const count = arrayAt(progress, "damages").length;
  return [...damages, `${read}, ${count} damaged${end}`].join("\n");
}

async function rebuild(cli: Cli, { storageRoot, json }: RebuildArgs): Promise<void> {
  const settings = resolveSettings({ storage_root: storageRoot }, cli.terminal.env, undefined);
  const root = join(settings.storage_root ?? "", "registry");
  if (!existsSync(root)) {
    throw new ProvError(`Cannot rebuild the registry in ${root}: there is no such directory`, {
      code: "CONFIG_INVALID",
      hint: "Name the controller's directory: --storage-root=/var/lib/prov",
    });
  }
  const report = await onFile("rebuild", root, () => rebuildRegistry(root, cli.now));
  for (const problem of report.problems) cli.terminal.err(`prov: ${problem}`);
  print(cli, json, report, () => {
    const { repositories, manifests, tags, blobs, uploads, before } = report;
    const found = `${repositories} repositories, ${manifests} manifests, ${tags} tags, ${blobs} blobs, ${uploads} open uploads`;
    return before === null ? found : `${found}\nthe old catalog is ${before}`;
  });
}

async function showUsage(cli: Cli, json: boolean | undefined): Promise<void> {
  const api = await connect(cli);
  const usage = await api.call("GET", "/api/v1/registry/usage");
  print(cli, json, usage, () => renderUsage(usage));
}

function renderUsage(usage: unknown): string {
  const number = (value: unknown, ...keys: string[]) => Number(at(value, ...keys));
  const rows = arrayAt(usage, "repositories").map((each) => [
    stringAt(each, "repository") ?? "",
    ...["tags", "manifests", "blobs"].map((key) => String(number(each, key))),
    ...["bytes", "own_bytes"].map((key) => formatBytes(number(each, key))),
  ]);
  const [contents, bytes] = [number(usage, "stored", "contents"), number(usage, "stored", "bytes")];
  const uploads = number(usage, "uploads", "count");
  const uploadBytes = formatBytes(number(usage, "uploads", "bytes"));
  return [
    table([["REPOSITORY", "TAGS", "MANIFESTS", "BLOBS", "SIZE", "ONLY HERE"], ...rows]),
    `${contents} contents, each stored once: ${formatBytes(bytes)}`,
    `${uploads} uploads under way: ${uploadBytes}`,
  ].join("\n");
}
