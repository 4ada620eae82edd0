// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * `bun build.ts demo`: everything a user does to provision a server, on a virtual one, with the commands
 * shown as they are run.
 */
import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { linuxRecipe } from "./recipe.ts";
import { buildDebianRoot } from "./rootfs.ts";
import { addServer, Controller, eventuallyInFile, freePort, Lab, pushWithOras } from "./world.ts";

const SERIAL = "DEMO-0001";
const HOSTNAME = "web-01";
const IMAGE = "os-images/debian:13";

export async function runDemo(options: {
  binary: string;
  iso: string;
  cache: string;
}): Promise<void> {
  const directory = join(options.cache, "demo");
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { recursive: true });
  const world = { binary: options.binary, iso: options.iso, directory };

  say("A Debian root file system to install (made once, then kept)");
  const tarball = await buildDebianRoot(options.cache);

  const port = freePort();
  const controller = new Controller(world, {
    port,
    publicUrls: [`http://127.0.0.1:${port}`, `http://10.0.2.2:${port}`],
  });
  say(`prov serve: the controller and its registry on ${controller.url}`);
  await controller.start();
  say("prov lab: a virtual server, switched off, with a Redfish BMC");
  const lab = await Lab.start(world, [`--server=${SERIAL}`]);
  try {
    const server = lab.server(SERIAL);
    say(`prov server add ${SERIAL}: its BMC is ${server.bmc_url}, the certificate is pinned`);
    await addServer(controller, server);

    say(`oras push ${IMAGE} ${tarball}`);
    console.log(await pushWithOras(controller, tarball, IMAGE));

    const recipe = join(directory, "recipe.json");
    const document = linuxRecipe({ hostname: HOSTNAME, image: IMAGE });
    await Bun.write(recipe, JSON.stringify(document, null, 2));
    say(`prov job create ${SERIAL} recipe.json --watch`);
    console.log(await readFile(recipe, "utf8"));
    const started = Date.now();
    const watch = Bun.spawn([world.binary, "job", "create", SERIAL, recipe, "--watch"], {
      env: { ...process.env, ...controller.env },
      stdin: "ignore",
      stdout: "inherit",
      stderr: "inherit",
    });
    if ((await watch.exited) !== 0) {
      throw new Error(`the job did not succeed; logs are in ${directory}`);
    }

    say("The server boots what was installed; this is its serial console");
    const login = await eventuallyInFile(
      server.console,
      new RegExp(`^.*${HOSTNAME} login:`, "m"),
      300_000,
    );
    console.log(login[0]);
    say(`From the recipe to the login prompt: ${Math.round((Date.now() - started) / 1000)} s`);
  } finally {
    await lab.stop();
    await controller.stop();
  }
}

function say(text: string): void {
  console.log(`\n\u001b[1m== ${text}\u001b[0m`);
}
