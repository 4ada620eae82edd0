// SPDX-License-Identifier: AGPL-3.0-or-later
/** Where the mirror meets what else a registry does: quotas, pushes, abandoned uploads, many transfers. */
import { expect, test } from "bun:test";
import { errorCode, noise, pushBlob } from "../served.ts";
import { openSite } from "./site.ts";

const SIZE = 3_000_000;
const bytes = noise(SIZE);

test("R51: content of a neighbour counts against the quota as well", async () => {
  await using site = await openSite();
  const rule = { repositories: "small/**", quota: "1MiB" };
  await site.mirror.registry.setPolicy({ rules: [rule] }, null);
  const digest = await pushBlob(site.central, "os/debian", bytes);
  await pushBlob(site.central, "small/debian", bytes);
  await (await site.mirror.ask("GET", `os/debian/blobs/${digest}`)).bytes();
  const answer = await site.mirror.ask("GET", `small/debian/blobs/${digest}`);
  expect(answer.status).toBe(507);
  expect(await errorCode(answer)).toBe("STORAGE_FULL");
});
