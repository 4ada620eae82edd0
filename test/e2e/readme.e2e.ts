// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * R59: README's commands, run as they stand there. Only the ports are others, and no server is ever switched on:
 * provision.e2e.ts does that.
 */
import { expect, test } from "bun:test";
import { blocksOf, readReadme, tableUnder } from "../docs/readme.ts";
import { follow, Shell } from "./newcomer.ts";

const SECTIONS = ["Tour", "When it fails", "API", "Servers without DHCP"];
/** Needs a virtual machine. */
const LEFT_OUT = "Provision";

test("README's tour, failures and API are as it shows them (R1, R2, R3, R59)", async () => {
  await using shell = await Shell.open();
  const blocks = blocksOf(await readReadme()).filter(
    ({ section, subsection }) => SECTIONS.includes(section) && subsection !== LEFT_OUT,
  );
  expect(await follow(blocks, shell)).toBeGreaterThan(12);

  const unknown: string[] = [];
  for (const [route = ""] of tableUnder(await readReadme(), "Routes")) {
    const [method = "", path = ""] = route.split(" ");
    const response = await fetch(`${shell.url}${path.replaceAll(/\{\w+\}/g, "nothing:here")}`, {
      method,
      headers: { authorization: `Basic ${btoa(`admin:${shell.password}`)}` },
    });
    if ((await response.text()).includes("nothing at this path")) unknown.push(route);
  }
  expect(unknown).toEqual([]);
}, 120_000);
