// SPDX-License-Identifier: AGPL-3.0-or-later
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { main } from "../../src/cli/main.ts";
import { VERSION } from "../../src/cli/version.ts";
import { buildIso } from "../../src/media/iso9660.ts";
import { renderPlannedRecipe } from "../../src/workflows/plan-recipe.ts";
import { ENVELOPE } from "../dispatcher/agent-tree.ts";
import { expectGolden } from "../helpers/golden.ts";
import { disk, machine } from "../helpers/machines.ts";
import { makeCertificate } from "../registry/certificate.ts";
import { FakeTerminal } from "./fake-terminal.ts";
import type { Ran } from "./world.ts";

const DIRECTORY = mkdtempSync(join(tmpdir(), "prov-offline-"));
afterAll(() => rmSync(DIRECTORY, { recursive: true }));

const FIXTURES = join(import.meta.dir, "../fixtures/recipes");
const RECIPE = join(FIXTURES, "valid/source-api-example.json");
const VALID = await Bun.file(RECIPE).json();

type Options = ConstructorParameters<typeof FakeTerminal>[0];

async function run(argv: readonly string[], options: Options = {}): Promise<Ran> {
  const terminal = new FakeTerminal(options);
  const code = await main(argv, terminal);
  return { code, out: terminal.outLines.join("\n"), err: terminal.errLines.join("\n") };
}

async function file(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(DIRECTORY, name);
  await Bun.write(path, content);
  return path;
}

describe("prov", () => {
  test("--help lists the commands and the exit codes", async () => {
    const { code, out } = await run(["--help"]);
    expect(code).toBe(0);
    await expectGolden("cli/help.txt", `${out}\n`);
  });

  test("job --help lists what can be done with jobs", async () => {
    const { code, out } = await run(["job", "--help"]);
    expect(code).toBe(0);
    await expectGolden("cli/help-job.txt", `${out}\n`);
  });

  test("prints its version", async () => {
    expect(await run(["version"])).toEqual({ code: 0, out: VERSION, err: "" });
    expect(await run(["--version"])).toEqual({ code: 0, out: VERSION, err: "" });
    expect(JSON.parse((await run(["version", "--json"])).out).version).toBe(VERSION);
  });

  test.each([
    { argv: [], err: "prov: Say which command to run.\n  See prov --help." },
    { argv: ["jub"], err: "prov: There is no such command: did you mean job?\n  See prov --help." },
    { argv: ["version", "--frob"], err: "prov: Unknown argument: frob\n  See prov --help." },
    {
      argv: ["job"],
      err: "prov: Say what to do: prov job create, list, show, watch, logs, cancel, retry.\n  See prov --help.",
    },
    { argv: ["server", "power", "SN1", "sideways"], err: /Choices: "on", "off", "reset"/ },
  ])("refuses the command line $argv (exit code 2)", async ({ argv, err }) => {
    const ran = await run(argv);
    expect(ran).toMatchObject({ code: 2, out: "" });
    expect(ran.err).toMatch(err);
  });

  test("prints a completion script", async () => {
    expect((await run(["completion"])).out).toContain("complete -o bashdefault");
  });
});

describe("connecting to a controller", () => {
  const answering = (response: () => Response) => ({
    fetch: () => Promise.resolve(response()),
    now: () => 0,
    sleep: () => Promise.resolve(),
  });

  async function list(env: Record<string, string>, response?: () => Response): Promise<Ran> {
    const terminal = new FakeTerminal({ env });
    const outside =
      response === undefined
        ? { ...answering(() => new Response()), fetch: () => Promise.reject(new Error("refused")) }
        : answering(response);
    const code = await main(["job", "list"], terminal, outside);
    return { code, out: terminal.outLines.join("\n"), err: terminal.errLines.join("\n") };
  }

  test.each<{
    what: string;
    env: Record<string, string>;
    response?: () => Response;
    code: number;
    err: string;
  }>([
    {
      what: "nobody listens",
      env: { PROV_URL: "http://10.0.0.1:8080" },
      code: 5,
      err: "prov: Cannot reach the controller at http://10.0.0.1:8080: refused\n  Set PROV_URL to the controller's address, and check that prov serve is running there.",
    },
    {
      what: "the password is wrong",
      env: { PROV_USER: "mia", PROV_PASSWORD: "CANARY" },
      response: () => Response.json({ error: "unauthorized", message: "Log in" }, { status: 401 }),
      code: 6,
      err: "prov: Log in\n  Set PROV_USER and PROV_PASSWORD to a user of the controller.",
    },
    {
      what: "the role is too small",
      env: {},
      response: () => Response.json({ error: "forbidden", message: "Not yours" }, { status: 403 }),
      code: 6,
      err: "prov: Not yours",
    },
    {
      what: "a proxy finds nobody behind it",
      env: {},
      response: () => new Response("<html>", { status: 502 }),
      code: 5,
      err: "prov: GET /api/v1/jobs?limit=20: HTTP 502",
    },
    {
      what: "the controller has a defect",
      env: {},
      response: () =>
        Response.json({ error: "internal", message: "Internal error" }, { status: 500 }),
      code: 1,
      err: "prov: Internal error",
    },
    {
      what: "PROV_URL has a password in it",
      env: { PROV_URL: "https://mia:CANARY@prov.example" },
      code: 2,
      err: "prov: Cannot use PROV_URL: it is not the address of a controller\n  Write it as https://host:port; user and password go into PROV_USER and PROV_PASSWORD.",
    },
    {
      what: "PROV_CA_FILE is not there",
      env: { PROV_CA_FILE: "/nonexistent/ca.pem" },
      code: 2,
      err: "prov: Cannot read /nonexistent/ca.pem: there is no such file",
    },
  ])("says what is wrong when $what", async ({ env, response, code, err }) => {
    expect(await list(env, response)).toEqual({ code, out: "", err });
  });

  test("says what is wrong when something else listens there", async () => {
    const { code, err } = await list({}, () => new Response("<html>hello</html>"));
    expect(code).toBe(5);
    expect(err).toContain("Cannot understand what http://127.0.0.1:8080 answers");
    expect(err).toContain("Check that PROV_URL is the address of a prov controller.");
  });

  test("names the setting for a CA of one's own where a certificate is not trusted", async () => {
    const { cert, key } = await makeCertificate();
    await using controller = Bun.serve({
      port: 0,
      tls: { cert, key },
      fetch: () => Response.json([]),
    });
    const { code, err } = await run(["job", "list"], { env: { PROV_URL: controller.url.href } });
    expect(code).toBe(5);
    expect(err).toContain("Set PROV_CA_FILE to the CA that signed the controller's certificate");
  });

  test("R53: follows no redirect, which would take a password along", async () => {
    const heard: string[] = [];
    await using elsewhere = Bun.serve({
      port: 0,
      async fetch(request) {
        heard.push(await request.text());
        return Response.json({});
      },
    });
    const location = new URL("/api/v1/users", elsewhere.url).href;
    await using controller = Bun.serve({
      port: 0,
      fetch: () => new Response(null, { status: 307, headers: { location } }),
    });
    const ran = await run(["user", "add", "mia", "--password-file=-"], {
      env: { PROV_URL: controller.url.href },
      stdin: "CANARY",
    });
    expect(heard).toEqual([]);
    expect(ran).toMatchObject({
      code: 5,
      out: "",
      err: expect.stringContaining(`it leads to ${elsewhere.url.origin}`),
    });
  });

  test("reads client.yaml, and the environment wins over it", async () => {
    await file("prov/client.yaml", "url: http://10.0.0.9:1\nuser: mia\npassword: CANARY-file\n");
    const asked: string[] = [];
    const outside = {
      ...answering(() => new Response()),
      fetch: (url: string, init?: BunFetchRequestInit) => {
        asked.push(`${url} ${new Headers(init?.headers).get("authorization")}`);
        return Promise.resolve(Response.json({ jobs: [] }));
      },
    };
    const env = { XDG_CONFIG_HOME: DIRECTORY };
    const terminal = new FakeTerminal({ env });
    await main(["job", "list"], terminal, outside);
    await main(["job", "list"], new FakeTerminal({ env: { ...env, PROV_USER: "ada" } }), outside);
    expect(asked).toEqual([
      `http://10.0.0.9:1/api/v1/jobs?limit=20 Basic ${btoa("mia:CANARY-file")}`,
      `http://10.0.0.9:1/api/v1/jobs?limit=20 Basic ${btoa("ada:CANARY-file")}`,
    ]);
    expect([...terminal.outLines, ...terminal.errLines].join()).not.toContain("CANARY");
  });
});

describe("as a process", () => {
  const PROV = `"${process.execPath}" "${join(import.meta.dir, "../../src/main.ts")}"`;
  const shell = async (script: string) => {
    const child = Bun.spawn(["sh", "-c", script], { stdout: "pipe", stderr: "pipe" });
    const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    return { out, err, code: await child.exited };
  };

  test("whoever has read enough may leave", async () => {
    const ran = await shell(`{ ${PROV} version; echo "exit $?" >&2; } | true`);
    expect(ran.err).toBe("exit 0\n");
  });

  test("an output that is lost is a failure", async () => {
    expect(await shell(`${PROV} version > /dev/full`)).toEqual({
      code: 1,
      out: "",
      err: expect.stringMatching(/^prov: Cannot write to standard output: ENOSPC.*\n$/),
    });
  });

  test("a service goes on when nobody can read its greeting", async () => {
    const free = Bun.serve({ port: 0, fetch: () => new Response() });
    const { port } = free;
    await free.stop(true);
    const flags = [
      ...[`--storage-root=${join(DIRECTORY, "greeting")}`, `--http-addr=127.0.0.1:${port}`],
      ...["--media-addr=none", `--public-urls=http://127.0.0.1:${port}`, "--log-level=warn"],
    ];
    const main = join(import.meta.dir, "../../src/main.ts");
    const child = Bun.spawn([process.execPath, main, "serve", ...flags], {
      stdout: Bun.file("/dev/full"),
      stderr: "pipe",
    });
    try {
      const reader = child.stderr.getReader();
      let said = "";
      while (!said.includes("Cannot write to standard output")) {
        const { value, done } = await reader.read();
        if (done) throw new Error(`it has ended: ${said}`);
        said += new TextDecoder().decode(value);
      }
      // It listens by then, or is about to.
      const health = async () => await fetch(`http://127.0.0.1:${port}/healthz`).catch(() => null);
      let answer = await health();
      while (answer === null && child.exitCode === null) answer = await health();
      expect(answer?.status).toBe(200);
    } finally {
      child.kill();
      await child.exited;
    }
  });
});

describe("prov plan", () => {
  test("prints what the agent would do", async () => {
    const { code, out, err } = await run(["plan", RECIPE]);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    await expectGolden("cli/plan.txt", `${out}\n`);
  });

  test("--json is the same plan as data", async () => {
    const text = await run(["plan", RECIPE]);
    const { out } = await run(["plan", RECIPE, "--json"]);
    expect(renderPlannedRecipe(JSON.parse(out)).trimEnd()).toBe(text.out);
  });

  test("reads the recipe from standard input, and the machine from its facts", async () => {
    const facts = await file("facts.json", JSON.stringify(machine([disk("/dev/sda")])));
    const stdin = (await Bun.file(RECIPE).text()).replace(/"\/dev\/[^"]+"/, '"/dev/sda"');
    const { code, out } = await run(["plan", "-", "--facts", facts], { stdin });
    expect(code).toBe(0);
    expect(out).not.toContain("# Assumed: The machine");
  });

  test("plans for a machine whose firmware has no serial", async () => {
    const nameless = machine([disk("/dev/sda")], { serial: null });
    const facts = await file("nameless.json", JSON.stringify(nameless));
    const stdin = (await Bun.file(RECIPE).text()).replace(/"\/dev\/[^"]+"/, '"/dev/sda"');
    const { code, err } = await run(["plan", "-", "--facts", facts], { stdin });
    expect({ code, err }).toEqual({ code: 0, err: "" });
  });

  test.each<{ what: string; argv: string[]; stdin?: string; err: RegExp }>([
    {
      what: "a file that is not there",
      argv: ["nope.json"],
      err: /^prov: Cannot read nope\.json: there is no such file$/,
    },
    {
      what: "a directory",
      argv: ["/tmp"],
      err: /^prov: Cannot read \/tmp: it is a directory$/,
    },
    {
      what: "a recipe with two errors",
      argv: ["-"],
      stdin: JSON.stringify({ ...VALID, target_disk: "/dev/sda1", surprise: 1 }),
      err: /^prov: standard input is not a valid recipe:\n(?:\/surprise|\/target_disk): .*\n\/(?:surprise|target_disk): .*$/,
    },
    {
      what: "facts that are not JSON",
      argv: [RECIPE, "--facts", RECIPE.replace("source-api-example.json", "../../facts/README.md")],
      err: /^prov: Cannot use .*README\.md: it is not JSON: /,
    },
    {
      what: "facts that are none",
      argv: [RECIPE, "--facts", RECIPE],
      err: /it is not the facts of a machine\n {2}Make it with prov facts/,
    },
  ])("says what is wrong with $what (exit code 2)", async ({ argv, stdin = "", err }) => {
    const ran = await run(["plan", ...argv], { stdin });
    expect(ran).toMatchObject({ code: 2, out: "" });
    expect(ran.err).toMatch(err);
  });
});

describe("prov iso", () => {
  test("writes a task ISO that nobody else may read, and lays it over a maintenance ISO", async () => {
    const envelope = await file("task.json", JSON.stringify(ENVELOPE));
    const task = join(DIRECTORY, "task.iso");
    const made = await run(["iso", "task", RECIPE, envelope, task]);
    expect(made).toMatchObject({ code: 0, err: "" });
    expect(made.out).toStartWith(`${task}: TASK_0B9C9EE230A94B4F9D4E7B5F6F1, `);
    expect(statSync(task).mode & 0o777).toBe(0o600);

    const files = [{ name: "task.img", bytes: new Uint8Array(2 ** 20) }];
    const maintenance = await file(
      "maintenance.iso",
      buildIso({ volumeId: "PROV_MAINT", files, epoch: 0 }),
    );
    const combined = join(DIRECTORY, "combined.iso");
    const laid = await run(["iso", "combined", maintenance, task, combined, "--json"]);
    expect(JSON.parse(laid.out)).toEqual({ file: combined, size: Bun.file(maintenance).size });
    expect(statSync(combined).mode & 0o777).toBe(0o600);
    const bytes = Buffer.from(await Bun.file(combined).bytes());
    expect(bytes.includes(Buffer.from(await Bun.file(task).bytes()))).toBe(true);
    expect(bytes.length).toBe(Bun.file(maintenance).size);
  });

  test.each([
    { what: "a missing recipe", argv: ["task", "nope", "nope", "out"], err: /Cannot read nope: / },
    {
      what: "an envelope that is none",
      argv: ["task", RECIPE, RECIPE, "out"],
      err: /it is not an envelope: \/version: must be 1\n {2}An envelope is/,
    },
    {
      what: "a missing task ISO",
      argv: ["combined", "nope", "nope", "out"],
      err: /Cannot read nope: there is no such file/,
    },
  ])("says what is wrong with $what (exit code 2)", async ({ argv, err }) => {
    const ran = await run(["iso", ...argv]);
    expect(ran).toMatchObject({ code: 2, out: "" });
    expect(ran.err).toMatch(err);
  });
});
