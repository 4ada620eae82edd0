// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import { World } from "./world.ts";

const ADD = "server add SN2 --bmc-url https://10.0.0.8 --bmc-user root";

describe("prov server", () => {
  test("adds, lists, shows and removes a server, and never shows its password", async () => {
    await using world = await World.open();
    const password = await world.file("password", "CANARY-typed\n");
    const network = await world.file(
      "network.json",
      JSON.stringify({
        interfaces: [{ type: "ethernet", name: "lan", mac: "52:54:00:00:00:01", dhcp: true }],
      }),
    );
    const added = await world.run(`${ADD} --bmc-password-file ${password} --network ${network}`);
    expect(added).toEqual({ code: 0, out: "SN2 added, BMC at https://10.0.0.8", err: "" });
    const stored = await world.site.store.servers.get("SN2");
    expect(stored?.bmc.password).toBe("CANARY-typed");
    expect(stored?.network).not.toBeNull();

    const { out } = await world.run("server list");
    expect(out.split("\n")).toEqual([
      "SERIAL  BMC               DELIVERY  UPDATED",
      "SN1     https://10.0.0.7  auto      2026-01-01 00:00:00",
      "SN2     https://10.0.0.8  auto      2026-01-01 00:00:00",
    ]);
    const shown = await world.run("server show SN2");
    expect(shown.out).toContain("BMC       https://10.0.0.8");
    expect(shown.out).toContain("never: prov server probe asks");
    expect(await world.run("server rm SN2")).toEqual({ code: 0, out: "SN2 removed", err: "" });
    expect(await world.run("server show SN2")).toEqual({
      code: 1,
      out: "",
      err: 'prov: There is no server "SN2"',
    });
    expect(world.printed).not.toContain("CANARY");
  });

  test("takes the password from standard input, without the newline", async () => {
    await using world = await World.open();
    await world.run(`${ADD} --bmc-password-file -`, { stdin: "two words\r\n" });
    expect((await world.site.store.servers.get("SN2"))?.bmc.password).toBe("two words");
  });

  test.each([
    { tls: "", stored: { mode: "verify" } },
    { tls: "--bmc-insecure", stored: { mode: "insecure" } },
    {
      tls: `--bmc-fingerprint ${Array.from({ length: 32 }, () => "AB").join(":")}`,
      stored: { mode: "pinned", fingerprint: "ab".repeat(32) },
    },
  ])("trusts the BMC as asked: $tls", async ({ tls, stored }) => {
    await using world = await World.open();
    expect((await world.run(`${ADD} --bmc-password-file - ${tls}`, { stdin: "x" })).code).toBe(0);
    expect((await world.site.store.servers.get("SN2"))?.bmc.tls).toEqual(stored as never);
  });

  test("probes the BMC and switches power", async () => {
    await using world = await World.open();
    const probed = await world.run("server probe SN1");
    expect(probed.out).toContain("made         Dell Inc. PowerEdge R650");
    expect(probed.out).toContain("media slots  CD1, CD2");
    expect(await world.run("server power SN1 on")).toEqual({ code: 0, out: "SN1: on", err: "" });
    expect(world.site.server.power).toBe("On");
  });
});

describe("prov user", () => {
  test("adds, lists and removes users, for administrators", async () => {
    await using world = await World.open();
    const add = "user add mia --role reader --password-file -";
    const added = await world.run(add, { as: "admin", stdin: "CANARY-mia\n" });
    expect(added).toEqual({ code: 0, out: "mia added as reader", err: "" });
    const listed = await world.run("user list", { as: "admin" });
    expect(listed.out).toMatch(/^NAME +ROLE +CREATED$/m);
    expect(listed.out).toMatch(/^mia +reader /m);
    const removed = await world.run("user rm mia", { as: "admin" });
    expect(removed).toEqual({ code: 0, out: "mia removed", err: "" });
    expect((await world.run("user rm mia", { as: "admin" })).code).toBe(1);
    expect(world.printed).not.toContain("CANARY");
  });

  test("a reader may not, and is told so (exit code 6)", async () => {
    await using world = await World.open();
    const refused = await world.run("user add x --password-file -", { as: "reader", stdin: "x" });
    expect(refused).toMatchObject({ code: 6, out: "" });
    expect(refused.err).toStartWith("prov: ");
  });
});

test.each([
  "server list",
  "server show SN1",
  "server probe SN1",
  "server power SN1 on",
  "server rm SN1",
  "server add SN2 --bmc-url https://10.0.0.8 --bmc-user root --bmc-password-file -",
  "user list",
  "user add mia --password-file -",
  "user rm reader",
  "artifact list",
  "job list",
  "version",
  "serve --check",
])("prov %s --json prints one JSON document", async (words) => {
  await using world = await World.open();
  const options = { as: "admin", stdin: "long enough" };
  const { code, out, err } = await world.run(`${words} --json`, options);
  expect({ code, err }).toEqual({ code: 0, err: "" });
  expect(() => JSON.parse(out)).not.toThrow();
  expect(world.printed).not.toContain("CANARY");
});
