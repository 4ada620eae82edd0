// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * What the end-to-end tests share: a site with a controller and virtual servers, from the built files that the
 * environment names, and questions to a BMC and to a finished job.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { arrayAt, at, stringAt } from "../../src/base/json.ts";
import { Controller, type ControllerOptions, freePort, Lab, type LabServer } from "./world.ts";

const ROOT = join(import.meta.dir, "../..");

export const CACHE = process.env.PROV_CACHE ?? join(homedir(), ".cache/prov");
export const BINARY = process.env.PROV_BINARY ?? join(ROOT, "dist/prov");
export const ISO = process.env.PROV_ISO ?? join(ROOT, "dist/maintenance.iso");

export interface Site extends AsyncDisposable {
  readonly directory: string;
  readonly controller: Controller;
  readonly lab: Lab;
}

/** Starts a lab and a controller; NAT in between, unless the options say otherwise. */
export async function startSite(
  labFlags: readonly string[],
  options: Partial<ControllerOptions> & { port?: number } = {},
): Promise<Site> {
  const directory = await mkdtemp(join(tmpdir(), "prov-site-"));
  const world = { binary: BINARY, iso: ISO, directory };
  const port = options.port ?? freePort();
  const lab = await Lab.start(world, labFlags);
  const controller = new Controller(world, {
    port,
    publicUrls: options.publicUrls ?? [`http://127.0.0.1:${port}`, `http://10.0.2.2:${port}`],
    ...(options.flags !== undefined && { flags: options.flags }),
    ...(options.mediaHost !== undefined && { mediaHost: options.mediaHost }),
  });
  try {
    await controller.start();
  } catch (error) {
    await controller.stop();
    await lab.stop();
    throw error;
  }
  return {
    directory,
    controller,
    lab,
    async [Symbol.asyncDispose]() {
      await controller.stop();
      await lab.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** How many of the BMC's virtual drives have a medium in them. */
export async function insertedMedia(server: LabServer): Promise<number> {
  const get = async (path: string): Promise<unknown> => {
    const response = await fetch(`${server.bmc_url}${path}`, {
      headers: { authorization: `Basic ${btoa(`${server.username}:${server.password}`)}` },
      tls: { rejectUnauthorized: false },
    });
    return response.json();
  };
  const members = async (path: string) =>
    arrayAt(await get(path), "Members").map((member) => stringAt(member, "@odata.id") ?? "");
  let count = 0;
  for (const collection of ["/redfish/v1/Systems", "/redfish/v1/Managers"]) {
    for (const owner of await members(collection)) {
      const media = stringAt(await get(owner), "VirtualMedia", "@odata.id");
      if (media === undefined) continue;
      for (const drive of await members(media)) {
        if (at(await get(drive), "Inserted") === true) count++;
      }
    }
  }
  return count;
}

/** A job's events as \`step: message\` lines. */
export function story(job: unknown): string[] {
  return arrayAt(job, "events").map(
    (event) => `${stringAt(event, "step") ?? "-"}: ${stringAt(event, "message")}`,
  );
}
