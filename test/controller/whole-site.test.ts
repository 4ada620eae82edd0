// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { realSleep, silentLog } from "../../src/base/deps.ts";
import { describeError } from "../../src/base/errors.ts";
import { millis } from "../../src/base/units.ts";
import type { Faults } from "../../src/lab/bmc/faults.ts";
import type { SimulatedAgent } from "../../src/lab/machine/simulated-machine.ts";
import { openBlob, type PullDeps, resolveArtifact } from "../../src/registry/client/pull.ts";
import { WholeAgent } from "./whole-agent.ts";
import { LAYER, WholeSite } from "./whole-site.ts";

const pullDeps: PullDeps = { fetch, sleep: realSleep, now: Date.now, log: silentLog };

async function pull(agent: WholeAgent, deps: PullDeps): Promise<string> {
  const { layer } = await resolveArtifact(agent.artifact, deps);
  return await new Response(openBlob(agent.artifact, layer, deps)).text();
}

/** Does what the agent would: check in, pull its artifact, report. */
const install: SimulatedAgent = async (taskIso, { signal }) => {
  const agent = new WholeAgent(taskIso, signal);
  await agent.checkIn();
  const text = await pull(agent, pullDeps);
  await agent.report(text === LAYER ? undefined : "image-linux.service");
};

test.each(["two-slot", "one-slot"] as const)(
  "R22 a whole job against a BMC with the personality %s",
  async (personality) => {
    await using site = await WholeSite.open({ personality, agent: install });
    const id = await site.createJob();
    await site.complete(id);
    await site.diskBoot;
    expect(await site.store.jobs.get(id)).toMatchObject({
      status: "complete",
      outcome: "succeeded",
    });
    expect(site.server.machine.power()).toBe("On");
    expect(await site.mediaLeft()).toBe(0);
  },
);

interface Fault {
  readonly name: string;
  readonly faults?: Partial<Faults>;
  readonly arrange?: (site: WholeSite) => Promise<void>;
  readonly agent?: SimulatedAgent;
  readonly failedStep: string;
  /** In the job's error. */
  readonly says: string;
  readonly untouched?: true;
}

const FAULTS: readonly Fault[] = [
  {
    name: "the BMC cannot be reached",
    arrange: (site) => site.server.stop(),
    failedStep: "redfish.discover",
    says: "no answer",
    untouched: true,
  },
  {
    name: "the BMC's password is wrong",
    faults: { wrongPassword: true },
    failedStep: "redfish.discover",
    says: 'it refuses user "lab"',
    untouched: true,
  },
  {
    name: "the BMC has no virtual media",
    faults: { noVirtualMedia: true },
    failedStep: "redfish.discover",
    says: "Cannot use virtual media",
    untouched: true,
  },
  {
    name: "the BMC takes no media",
    faults: { insertFails: 1000 },
    failedStep: "redfish.insert",
    says: "Cannot insert an image",
  },
  {
    name: "the media are never read",
    faults: { neverReadsMedia: true },
    failedStep: "boot.media-never-read",
    says: "Nobody has read the boot medium",
  },
  {
    name: "the server starts from its disk all the same",
    faults: { overrideIgnored: true },
    failedStep: "boot.media-never-read",
    says: "did not start from the virtual CD",
  },
  {
    name: "the agent never checks in",
    agent: () => Promise.resolve(),
    failedStep: "boot.no-check-in",
    says: "no agent checked in",
  },
  {
    name: "the agent starts no step",
    agent: (taskIso, { signal }) => new WholeAgent(taskIso, signal).checkIn(),
    failedStep: "boot.no-step",
    says: "has not started a step",
  },
  {
    name: "the agent never reports",
    agent: (taskIso, { signal }) =>
      new WholeAgent(taskIso, signal).progress({ type: "step-started", step: "partition.service" }),
    failedStep: "webhook.wait",
    says: "the last that was heard is partition.service",
  },
  {
    name: "the registry goes away in the middle of a pull",
    agent: async (taskIso, { signal }) => {
      const agent = new WholeAgent(taskIso, signal);
      await agent.checkIn();
      let requests = 0;
      const deps: PullDeps = {
        ...pullDeps,
        patience: millis(100),
        sleep: (_ms, stop) => realSleep(millis(1), stop),
        fetch: async (url, init) => {
          if (++requests > 2) throw new Error("Unable to connect");
          const response = await fetch(url, init);
          return requests === 1 ? response : cutAfter(5, response);
        },
      };
      const error = await pull(agent, deps).catch((e: unknown) => e);
      await agent.report("image-linux.service", describeError(error));
    },
    failedStep: "image-linux.service",
    says: "nothing came for",
  },
];

function cutAfter(bytes: number, response: Response): Response {
  const cut = new ReadableStream<Uint8Array>({
    async start(controller) {
      controller.enqueue((await response.bytes()).subarray(0, bytes));
      controller.error(new Error("The connection was closed"));
    },
  });
  return new Response(cut, response);
}

test.each(FAULTS)("R6 R41 $name: the job says so, and is cleaned up", async (fault) => {
  await using site = await WholeSite.open({
    personality: "two-slot",
    agent: fault.agent ?? install,
    deadlines: {
      mediaReadMs: millis(200),
      checkInMs: millis(400),
      firstStepMs: millis(200),
      installMs: millis(500),
    },
  });
  Object.assign(site.server.faults, fault.faults);
  await fault.arrange?.(site);
  const id = await site.createJob();
  const events = await site.complete(id);
  const job = await site.store.jobs.get(id);
  expect(job).toMatchObject({
    status: "complete",
    outcome: "failed",
    failedStep: fault.failedStep,
  });
  expect(job?.error).toContain(fault.says);
  expect(events).toContain(fault.untouched ? "the server was not touched" : "The server stays off");
  expect(site.server.machine.power()).toBe("Off");
  if (!fault.untouched) expect(await site.mediaLeft()).toBe(0);
  const media = await site.store.media.forJob(id);
  expect(media.every(({ revokedAt }) => revokedAt !== null)).toBe(true);
});

test("R47 a report waits until the controller is back, and then counts", async () => {
  const installing = Promise.withResolvers<void>();
  const isDown = Promise.withResolvers<void>();
  await using site = await WholeSite.open({
    personality: "two-slot",
    agent: async (taskIso, { signal }) => {
      const agent = new WholeAgent(taskIso, signal);
      await agent.checkIn();
      installing.resolve();
      await isDown.promise;
      await agent.report();
    },
  });
  const id = await site.createJob();
  await installing.promise;
  await site.stopController();
  isDown.resolve();
  await realSleep(millis(100));
  expect(await site.store.jobs.get(id)).toMatchObject({ status: "provisioning" });
  await site.start();
  await site.complete(id);
  expect(await site.store.jobs.get(id)).toMatchObject({ outcome: "succeeded", failedStep: null });
  expect(await site.mediaLeft()).toBe(0);
});
