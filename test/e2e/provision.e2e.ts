// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * A server with two virtual CD drives, on a network with DHCP: provisioned, and asked for the same again.
 */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { stringAt } from "../../src/base/json.ts";
import { linuxRecipe, SSH_KEY_SHA256 } from "./recipe.ts";
import { buildDebianRoot } from "./rootfs.ts";
import { CACHE, insertedMedia, startSite, story } from "./site.ts";
import { addServer, eventuallyInFile, pushWithOras } from "./world.ts";

const SERIAL = "E2E-TWO-CD";
const IMAGE = "os-images/debian:13";

test("a recipe becomes a Linux that greets by its cloud-init name; the same again changes nothing (R34, R38, R40, R60)", async () => {
  const tarball = await buildDebianRoot(CACHE);
  await using site = await startSite([`--server=${SERIAL}`]);
  const { controller, lab } = site;
  const server = lab.server(SERIAL);
  await addServer(controller, server);
  await pushWithOras(controller, tarball, IMAGE);

  const recipe = join(site.directory, "recipe.json");
  await Bun.write(recipe, JSON.stringify(linuxRecipe({ hostname: "web-01", image: IMAGE })));
  const first = await controller.prov("job", "create", SERIAL, recipe, "--watch");
  expect(first.stdout).toEndWith("complete: succeeded\n");
  expect(first.code).toBe(0);
  expect(await insertedMedia(server)).toBe(0);

  await eventuallyInFile(server.console, new RegExp(SSH_KEY_SHA256), 300_000);
  await eventuallyInFile(server.console, /^web-01 login:/m, 300_000);

  const again = linuxRecipe({ hostname: "web-01", image: IMAGE, more: { wipe: "if-empty" } });
  await Bun.write(recipe, JSON.stringify(again));
  const second = await controller.prov("job", "create", SERIAL, recipe, "--watch");
  expect(second.code).toBe(0);
  const list = (await controller.provJson("job", "list", `--server=${SERIAL}`)) as {
    jobs: { job_id: string }[];
  };
  const job = await controller.provJson("job", "show", list.jobs[0]?.job_id ?? "");
  expect(story(job).filter((line) => line.includes("Finished"))).toEqual([
    "partition.service: Finished: nothing had to be changed",
    "image-linux.service: Finished: nothing had to be changed",
    "bootloader-linux.service: Finished: nothing had to be changed",
    "config-drive.service: Finished: nothing had to be changed",
  ]);
  expect(stringAt(job, "outcome")).toBe("succeeded");
}, 1_200_000);
