// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { ProvError } from "../../src/base/errors.ts";
import { minutes } from "../../src/base/units.ts";
import type { Phase } from "../../src/jobs/lifecycle.ts";
import { expectGolden } from "../helpers/golden.ts";
import { unreachable, virtualCds } from "./fake-server.ts";
import { RECIPE, Site } from "./site.ts";

interface Story {
  readonly name: string;
  readonly arrange?: (site: Site) => void;
  readonly recipe?: unknown;
  /** Done once the job has reached this phase, `running` if it is left out. */
  readonly at?: Phase;
  readonly during?: (site: Site, id: string) => Promise<unknown>;
  readonly outcome: string;
  readonly failedStep: string | null;
  readonly power: "On" | "Off";
}

const STORIES: readonly Story[] = [
  { name: "success", outcome: "succeeded", failedStep: null, power: "On" },
  {
    name: "success-one-cd-power-off",
    arrange: ({ server }) => {
      server.slots = virtualCds(1);
    },
    recipe: { ...RECIPE, power_after: "off" },
    outcome: "succeeded",
    failedStep: null,
    power: "Off",
  },
  {
    name: "step-failed",
    arrange: ({ server }) => {
      server.script = [
        ...server.script.slice(0, 2),
        {
          report: {
            status: "failed",
            failed_step: "partition.service",
            error: "Cannot use /dev/sda: it is mounted",
          },
        },
      ];
    },
    outcome: "failed",
    failedStep: "partition.service",
    power: "Off",
  },
  {
    name: "bmc-unreachable",
    arrange: ({ server }) => {
      server.faults.set("probe", unreachable("reach the BMC at https://10.0.0.7"));
    },
    outcome: "failed",
    failedStep: "redfish.discover",
    power: "Off",
  },
  {
    name: "insert-refused",
    arrange: ({ server }) => {
      server.faults.set(
        "insert",
        new ProvError("Cannot insert an image into CD1", {
          code: "BMC_REFUSED",
          cause: "HTTP 400: licence required",
        }),
      );
    },
    outcome: "failed",
    failedStep: "redfish.insert",
    power: "Off",
  },
  {
    name: "media-never-read",
    arrange: ({ server }) => {
      server.readsMedia = false;
    },
    outcome: "failed",
    failedStep: "boot.media-never-read",
    power: "Off",
  },
  {
    name: "no-check-in",
    arrange: ({ server }) => {
      server.script = [];
    },
    outcome: "failed",
    failedStep: "boot.no-check-in",
    power: "Off",
  },
  {
    name: "no-step",
    arrange: ({ server }) => {
      server.script = server.script.slice(0, 1);
    },
    outcome: "failed",
    failedStep: "boot.no-step",
    power: "Off",
  },
  {
    name: "no-report",
    arrange: ({ server }) => {
      server.script = server.script.slice(0, -1);
    },
    outcome: "failed",
    failedStep: "webhook.wait",
    power: "Off",
  },
  {
    name: "canceled",
    during: (site, id) => site.api("DELETE", `/api/v1/jobs/${id}`),
    outcome: "canceled",
    failedStep: null,
    power: "Off",
  },
  {
    name: "bmc-hangs",
    arrange: ({ server }) => {
      server.hangs.add("bootOnceFromCd");
    },
    outcome: "failed",
    failedStep: "redfish.boot-override",
    power: "Off",
  },
  {
    name: "canceled-while-bmc-hangs",
    arrange: ({ server }) => {
      server.hangs.add("insert");
    },
    at: "insert",
    during: (site, id) => site.api("DELETE", `/api/v1/jobs/${id}`),
    outcome: "canceled",
    failedStep: null,
    power: "Off",
  },
  {
    name: "canceled-before-any-change",
    arrange: ({ server }) => {
      server.hangs.add("probe");
    },
    at: "media",
    during: (site, id) => site.api("DELETE", `/api/v1/jobs/${id}`),
    outcome: "canceled",
    failedStep: null,
    power: "Off",
  },
  {
    name: "canceled-while-starting",
    arrange: ({ server }) => {
      server.hangs.add("powerOn");
    },
    at: "power-on",
    during: (site, id) => {
      site.server.startsLate = true;
      return site.api("DELETE", `/api/v1/jobs/${id}`);
    },
    outcome: "canceled",
    failedStep: null,
    power: "Off",
  },
  {
    name: "ejects-after-a-bug",
    arrange: ({ server }) => {
      server.script = server.script.slice(0, 1);
    },
    during: ({ server }) => {
      server.faults.set("powerOff", new TypeError("Invalid URL"));
      return Promise.resolve();
    },
    outcome: "failed",
    failedStep: "boot.no-step",
    power: "On",
  },
  {
    name: "cleanup-hangs",
    during: ({ server }) => {
      server.hangs.add("powerOff");
      server.hangs.add("clearBootOverride");
      return Promise.resolve();
    },
    outcome: "succeeded",
    failedStep: null,
    power: "On",
  },
  {
    name: "cleanup-unreachable",
    during: ({ server }) => {
      for (const operation of ["probe", "powerOff", "ejectAll", "powerOn"] as const) {
        server.faults.set(operation, unreachable("reach the BMC at https://10.0.0.7"));
      }
      return Promise.resolve();
    },
    outcome: "succeeded",
    failedStep: null,
    power: "On",
  },
];

test.each(STORIES)("R6 R9 R13 the events of a job tell its story: $name", async (story) => {
  await using site = await Site.open();
  story.arrange?.(site);
  await site.controller.start();
  const id = await site.createJob(story.recipe);
  if (story.during !== undefined) {
    await site.until(id, ({ phase }) => phase === (story.at ?? "running"));
    await story.during(site, id);
  }
  await site.complete(id);

  const { body: job } = await site.api("GET", `/api/v1/jobs/${id}`);
  expect({ ...job, power: site.server.power }).toMatchObject({
    status: "complete",
    outcome: story.outcome,
    failed_step: story.failedStep,
    power: story.power,
  });
  if (story.name !== "cleanup-unreachable") expect(site.server.media.size).toBe(0);
  const media = await site.store.media.forJob(id);
  expect(media.every((token) => token.revokedAt !== null)).toBe(true);
  const text = await site.story(id);
  expect(`${text}${site.logged.join("\n")}`).not.toContain("CANARY");
  expect(site.server.busiest).toBe(1);
  // The size follows the schema's text, which is not this test's business.
  const stable = text.replace(/is ready: .*/, "is ready: SIZE");
  await expectGolden(`controller/story-${story.name}.txt`, stable);
});

test("R6 an artifact that was deleted before its job began fails it, and the server is not touched", async () => {
  await using site = await Site.open();
  const id = await site.createJob();
  const resolve = () => Promise.resolve(undefined);
  site.startAnother((deps) => ({ ...deps, registry: { ...deps.registry, resolve } }));
  await site.controller.start();
  await site.complete(id);
  expect(await site.store.jobs.get(id)).toMatchObject({
    outcome: "failed",
    failedStep: "artifact.resolve",
  });
  expect(await site.story(id)).toContain("Cannot find the artifact os-images/debian:13");
  expect(await site.story(id)).toContain("the server was not touched");
  expect(site.server.calls).toEqual([]);
});

test("credentials that the BMC refuses are tried once in a cleanup, because BMCs lock accounts", async () => {
  await using site = await Site.open();
  let logins = 0;
  site.startAnother((deps) => ({
    ...deps,
    openBmc(...args) {
      logins++;
      return deps.openBmc(...args);
    },
  }));
  await site.controller.start();
  const id = await site.createJob();
  await site.until(id, ({ phase }) => phase === "running");
  const before = logins;
  const refused = new ProvError("Cannot log in to the BMC", { code: "BMC_UNAUTHORIZED" });
  site.server.faults.set("probe", refused);
  await site.complete(id);
  expect(logins - before).toBe(1);
  expect(await site.story(id)).toContain("Cleanup could not eject the media: Cannot log in");
});

test("R9 a site can set its own deadlines", async () => {
  await using site = await Site.open({
    deadlines: { mediaReadMs: minutes(30), checkInMs: minutes(40), bmcMs: minutes(1) },
  });
  site.server.readsMedia = false;
  await site.controller.start();
  const id = await site.createJob();
  await site.complete(id);
  expect(await site.story(id)).toContain("30 min after power-on");

  site.server.hangs.add("powerOff");
  const next = await site.createJob();
  await site.until(next, ({ status }) => status === "failed");
  expect(await site.store.jobs.get(next)).toMatchObject({
    failedStep: "redfish.power",
    error: 'Gave up on "power-off" after 1 min',
  });
});
