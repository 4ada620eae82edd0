// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { artifactsInUse } from "../../src/controller/artifacts.ts";
import { Site } from "./site.ts";

test("R50: what a job needs is in use from its creation until it is complete", async () => {
  await using site = await Site.open();
  const inUse = async () => Object.fromEntries(await artifactsInUse([], site.deps));
  expect(await inUse()).toEqual({});
  const id = await site.createJob();
  const found = await site.deps.registry.resolve("os-images/debian", "13");
  const needed = { "os-images/debian": new Set([found?.digest]) };
  // Before the job has begun, and with the envelope that pins it.
  expect((await site.store.jobs.payload(id))?.envelopeText).toBeNull();
  expect(await inUse()).toEqual(needed as never);
  await site.controller.start();
  await site.until(id, ({ phase }) => phase === "waiting");
  expect((await site.store.jobs.payload(id))?.envelopeText).not.toBeNull();
  expect(await inUse()).toEqual(needed as never);
  await site.api("DELETE", `/api/v1/jobs/${id}`);
  await site.until(id, ({ status }) => status === "complete");
  expect(await inUse()).toEqual({});
});
