// SPDX-License-Identifier: AGPL-3.0-or-later
import { arrayAt, at, stringAt } from "../../base/json.ts";
import { STATUSES } from "../../jobs/lifecycle.ts";
import { connect } from "../api-client.ts";
import { type Cli, type Command, command, group, print } from "../command.ts";
import { readJson } from "../files.ts";
import { formatTime, lines, table } from "../table.ts";
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
        status: { choices: STATUSES },
        server: { type: "string", describe: "serial" },
        limit: { type: "number", default: 20 },
      },
      run: (args) => list(cli, args),
    }),
    command<JobArgs>({
      command: "show <id>",
      describe: "one job; the exit code is that of its outcome",
      run: (args) => show(cli, args),
    }),
    command<JobArgs>({
      command: "watch <id>",
      describe: "follow a job to its end; the exit code is that of its outcome",
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
        const api = await connect(cli);
        const job = await api.call("DELETE", pathOf(args.id));
        print(cli, args.json, job, () => `${args.id} canceled`);
      },
    }),
    command<JobArgs>({
      command: "retry <id>",
      describe: "the same recipe once more, as a new job",
      run: async (args) => {
        const api = await connect(cli);
        const job = await api.call("POST", `${pathOf(args.id)}/retry`);
        print(cli, args.json, job, () => stringAt(job, "job_id") ?? "");
      },
    }),
  ]);
}

async function create(cli: Cli, args: CreateArgs): Promise<void> {
  const recipe = await readJson(args.recipe, cli.terminal);
  const api = await connect(cli);
  const headers: Record<string, string> =
    args.idempotencyKey === undefined ? {} : { "idempotency-key": args.idempotencyKey };
  const body = { server_serial: args.serial, recipe };
  const job = await api.call("POST", "/api/v1/jobs", body, headers);
  const id = stringAt(job, "job_id") ?? "";
  if (args.watch !== true) {
    print(cli, args.json, job, () => id);
    return;
  }
  // One document per line, because the events that follow are documents too.
  cli.terminal.out(args.json === true ? JSON.stringify(job) : id);
  await watchJob(id, cli, args.json);
}

async function list(cli: Cli, args: ListArgs): Promise<void> {
  const query = new URLSearchParams({ limit: String(args.limit) });
  if (args.status !== undefined) query.set("status", args.status);
  if (args.server !== undefined) query.set("server_serial", args.server);
  const api = await connect(cli);
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
  const api = await connect(cli);
  const job = await api.call("GET", pathOf(args.id));
  print(cli, args.json, job, () =>
    [
      lines({
        job: stringAt(job, "job_id"),
        server: stringAt(job, "server_serial"),
        target: stringAt(job, "task_target"),
        status: stringAt(job, "status"),
        phase: stringAt(job, "phase"),
        outcome: stringAt(job, "outcome"),
        "failed step": stringAt(job, "failed_step"),
        error: stringAt(job, "error"),
        created: formatTime(at(job, "created_at")),
      }),
      "",
      ...arrayAt(job, "events").map(renderEvent),
    ].join("\n"),
  );
  cli.exitCode = exitCodeOfJob(job);
}

async function logs(cli: Cli, args: JobArgs): Promise<void> {
  const api = await connect(cli);
  const job = await api.call("GET", pathOf(args.id));
  const events = arrayAt(job, "events");
  print(cli, args.json, events, () => events.map(renderEvent).join("\n"));
}
