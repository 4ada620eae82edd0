// SPDX-License-Identifier: AGPL-3.0-or-later
import { readFile } from "node:fs/promises";
import { ProvError } from "../../base/errors.ts";
import { arrayAt, at, stringAt } from "../../base/json.ts";
import { connect } from "../api-client.ts";
import { type Cli, type Command, command, group, print } from "../command.ts";
import { formatTime, table } from "../table.ts";
import { exitCodeOfJob, renderEvent, watchJob } from "../watch.ts";

interface JobArgs {
  id: string;
  json?: boolean;
}
interface CreateArgs {
  serial: string;
  recipe: string;
  watch?: boolean;
  idempotencyKey?: string;
  json?: boolean;
}
interface ListArgs {
  status?: string;
  server?: string;
  limit: number;
  json?: boolean;
}

const pathOf = (id: string) => `/api/v1/jobs/${encodeURIComponent(id)}`;

export function jobCommand(cli: Cli): Command {
  return group("job", "what servers are to become, and how far they are", [
    command<CreateArgs>({
      command: "create <serial> <recipe>",
      describe: "submit a recipe for a server",
      options: {
        watch: { type: "boolean", describe: "follow the job to its end" },
        "idempotency-key": { type: "string", describe: "the same key never makes a second job" },
      },
      run: (args) => create(cli, args),
    }),
    command<ListArgs>({
      command: "list",
      describe: "jobs, newest first",
      options: {
        status: { type: "string" },
        server: { type: "string", describe: "serial" },
        limit: { type: "number", default: 20 },
      },
      run: (args) => list(cli, args),
    }),
    command<JobArgs>({
      command: "show <id>",
      describe: "one job",
      run: (args) => show(cli, args),
    }),
    command<JobArgs>({
      command: "watch <id>",
      describe: "follow a job to its end",
      run: (args) => watchJob(args.id, cli, args.json),
    }),
    command<JobArgs>({
      command: "logs <id>",
      describe: "the job's events",
      run: (args) => logs(cli, args),
    }),
    command<JobArgs>({
      command: "cancel <id>",
      describe: "end a job and clean up",
      run: async (args) => {
        const api = await connect(cli.terminal, cli.fetch);
        await api.call("DELETE", pathOf(args.id));
        cli.terminal.out(`${args.id} canceled`);
      },
    }),
    command<JobArgs>({
      command: "retry <id>",
      describe: "the same recipe once more, as a new job",
      run: async (args) => {
        const api = await connect(cli.terminal, cli.fetch);
        const job = await api.call("POST", `${pathOf(args.id)}/retry`);
        print(cli, args.json, job, () => stringAt(job, "job_id") ?? "");
      },
    }),
  ]);
}

async function create(cli: Cli, args: CreateArgs): Promise<void> {
  const text =
    args.recipe === "-" ? await cli.terminal.stdin() : await readFile(args.recipe, "utf8");
  let recipe: unknown;
  try {
    recipe = JSON.parse(text);
  } catch (error) {
    throw new ProvError(`Cannot read ${args.recipe}: it is not JSON`, {
      code: "RECIPE_INVALID",
      cause: error,
    });
  }
  const api = await connect(cli.terminal, cli.fetch);
  const headers: Record<string, string> =
    args.idempotencyKey === undefined ? {} : { "idempotency-key": args.idempotencyKey };
  const body = { server_serial: args.serial, recipe };
  const job = await api.call("POST", "/api/v1/jobs", body, headers);
  const id = stringAt(job, "job_id") ?? "";
  print(cli, args.json, job, () => id);
  if (args.watch === true) await watchJob(id, cli, args.json);
}

async function list(cli: Cli, args: ListArgs): Promise<void> {
  const query = new URLSearchParams({ limit: String(args.limit) });
  if (args.status !== undefined) query.set("status", args.status);
  if (args.server !== undefined) query.set("server_serial", args.server);
  const api = await connect(cli.terminal, cli.fetch);
  const document = await api.call("GET", `/api/v1/jobs?${query}`);
  print(cli, args.json, document, () =>
    table([
      ["JOB", "SERVER", "STATUS", "OUTCOME", "FAILED STEP", "CREATED"],
      ...arrayAt(document, "jobs").map((job) => [
        stringAt(job, "job_id") ?? "",
        stringAt(job, "server_serial") ?? "",
        stringAt(job, "status") ?? "",
        stringAt(job, "outcome") ?? "-",
        stringAt(job, "failed_step") ?? "-",
        formatTime(at(job, "created_at")),
      ]),
    ]),
  );
}

async function show(cli: Cli, args: JobArgs): Promise<void> {
  const api = await connect(cli.terminal, cli.fetch);
  const job = await api.call("GET", pathOf(args.id));
  const line = (name: string, value: unknown) =>
    value === null || value === undefined ? [] : [`${name.padEnd(12)} ${value}`];
  print(cli, args.json, job, () =>
    [
      ...line("job", stringAt(job, "job_id")),
      ...line("server", stringAt(job, "server_serial")),
      ...line("target", stringAt(job, "task_target")),
      ...line("status", stringAt(job, "status")),
      ...line("phase", stringAt(job, "phase")),
      ...line("outcome", stringAt(job, "outcome")),
      ...line("failed step", stringAt(job, "failed_step")),
      ...line("error", stringAt(job, "error")),
      ...line("created", formatTime(at(job, "created_at"))),
      "",
      ...arrayAt(job, "events").map(renderEvent),
    ].join("\n"),
  );
  cli.exitCode = exitCodeOfJob(job);
}

async function logs(cli: Cli, args: JobArgs): Promise<void> {
  const api = await connect(cli.terminal, cli.fetch);
  const job = await api.call("GET", pathOf(args.id));
  const events = arrayAt(job, "events");
  print(cli, args.json, events, () => events.map(renderEvent).join("\n"));
}
