// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { report } from "../../src/dispatcher/report.ts";
import { openInstall, STEPS, USER_DATA } from "./install.ts";

/** What must be nowhere but in files that only root reads: as it is, and as base64 of either kind. */
const SECRETS = [
  "CANARY",
  btoa(USER_DATA).slice(0, 40),
  btoa("CANARY-token").replace(/=+$/, ""),
  btoa("CANARY-user-data").replace(/=+$/, ""),
];

function expectNoSecret(where: string, text: string): void {
  const found = SECRETS.filter((secret) => text.includes(secret));
  expect({ where, found }).toEqual({ where, found: [] });
}

test.each<{ how: string; failing: string | undefined }>([
  { how: "succeeds", failing: undefined },
  { how: "fails at the first command", failing: "sgdisk" },
  { how: "fails at the last mount", failing: "--options=rw,fmask" },
])(
  "no secret is in a log line, an event, a report or an argument when an install $how (R35, R53)",
  async ({ failing }) => {
    await using install = await openInstall();
    await install.boot();
    install.machine.failing = failing;
    let failed: string | undefined;
    for (const name of STEPS) {
      if ((await install.step(name)) === undefined) continue;
      failed = `${name}.service`;
      break;
    }
    const deps = { ...install.controller.deps, uuid: () => "d-1" };
    await report(
      failed === undefined
        ? { outcome: "success" }
        : { outcome: "failure", unit: failed, serviceResult: "exit-code" },
      install.paths,
      deps,
    );
    expect(failed === undefined).toBe(failing === undefined);

    const { logged, asked } = install.controller;
    expect(logged.length).toBeGreaterThan(3);
    for (const line of logged) expectNoSecret("log", line);
    for (const { url, body } of asked) expectNoSecret("request", `${url} ${body}`);
    for (const call of install.machine.runner.calls) expectNoSecret("argv", call);
    // The test itself looks in the right place: the token did travel, in its headers.
    expect(asked.some(({ headers }) => headers.get("x-webhook-secret") === "CANARY-token")).toBe(
      true,
    );
  },
);
