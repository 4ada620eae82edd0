// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { silentLog } from "../../src/base/deps.ts";
import { writeFailure } from "../../src/dispatcher/failure.ts";
import type { AgentPaths } from "../../src/dispatcher/paths.ts";
import { type ReportRequest, report } from "../../src/dispatcher/report.ts";
import { FakeRunner } from "../helpers/fake-runner.ts";
import { agentTree, ENVELOPE } from "./agent-tree.ts";

interface Sent {
  readonly url: string;
  readonly secret: string | null;
  readonly body: Record<string, unknown>;
}

/** A controller that answers with each of `answers` in turn, and then always with the last. */
function fakeController(answers: readonly (number | "down")[] = [200]) {
  const sent: Sent[] = [];
  let clock = Date.parse("2026-01-01T00:00:00Z");
  let uuids = 0;
  let calls = 0;
  const deps = {
    fetch: (url: string, init?: BunFetchRequestInit) => {
      const answer = answers[Math.min(calls++, answers.length - 1)] ?? 200;
      if (answer === "down") return Promise.reject(new Error("connection refused"));
      const secret = new Headers(init?.headers).get("x-webhook-secret");
      sent.push({ url, secret, body: JSON.parse(String(init?.body)) });
      return Promise.resolve(new Response("{}", { status: answer }));
    },
    now: () => clock,
    sleep: (ms: number) => {
      clock += ms;
      return Promise.resolve();
    },
    log: silentLog,
    uuid: () => `delivery-${++uuids}`,
  };
  return { sent, deps, slept: () => clock - Date.parse("2026-01-01T00:00:00Z") };
}

async function writeEnvelopeTo(paths: AgentPaths): Promise<void> {
  await mkdir(paths.run, { recursive: true });
  await Bun.write(join(paths.run, "task.json"), JSON.stringify(ENVELOPE));
}

const failureOf = (unit: string, serviceResult = "exit-code"): ReportRequest => ({
  outcome: "failure",
  unit,
  serviceResult,
});

describe("report()", () => {
  test("sends the failed unit and its reason with the job's token", async () => {
    await using tree = await agentTree();
    await writeEnvelopeTo(tree.paths);
    await writeFailure(tree.paths, "partition.service", "Cannot find the disk /dev/sdq", silentLog);
    const { sent, deps } = fakeController();
    expect(await report(failureOf("partition.service"), tree.paths, deps)).toBe("delivered");
    expect(sent).toEqual([
      {
        url: "http://10.0.0.1:8080/api/v1/status-webhook/XF-12345ABC",
        secret: "canary-token",
        body: {
          status: "failed",
          failed_step: "partition.service",
          error: "Cannot find the disk /dev/sdq",
          delivery_id: "delivery-1",
          job_id: ENVELOPE.job_id,
          task_target: "install-linux.target",
          started_at: expect.any(String),
          finished_at: "2026-01-01T00:00:00.000Z",
        },
      },
    ]);
  });

  test.each([
    { result: "timeout", says: "It took longer than its unit allows, and systemd stopped it" },
    { result: "oom-kill", says: "The machine ran out of memory, and the kernel ended it" },
    { result: "signal", says: "It was killed by a signal" },
    { result: "exit-code", says: "It exited with an error" },
    { result: "watchdog", says: 'It ended with "watchdog"' },
  ])("a unit that ended with $result and left no reason gets one (R31)", async (row) => {
    await using tree = await agentTree();
    await writeEnvelopeTo(tree.paths);
    await mkdir(join(tree.paths.run, "steps"));
    await Bun.write(join(tree.paths.run, "steps/partition.service.json"), '{"err');
    const { sent, deps } = fakeController();
    const runner = new FakeRunner(() => ({ stdout: "Error: disk-tools:1: image not known\n" }));
    await report(failureOf("partition.service", row.result), tree.paths, { ...deps, runner });
    expect(runner.calls).toEqual([
      "journalctl --unit=partition.service --no-pager --output=cat --lines=5",
    ]);
    expect(sent[0]?.body.error).toBe(
      `${row.says}. The last lines of its journal: Error: disk-tools:1: image not known`,
    );
  });

  test("names the first cause only: units that never ran are not the cause (R31)", async () => {
    await using tree = await agentTree();
    await writeEnvelopeTo(tree.paths);
    const { sent, deps } = fakeController();
    const outcomes = [
      await report(failureOf("image-linux.service", "success"), tree.paths, deps),
      await report(failureOf("partition.service"), tree.paths, deps),
      await report(failureOf("config-drive.service"), tree.paths, deps),
      await report({ outcome: "success" }, tree.paths, deps),
    ];
    expect(outcomes).toEqual([
      "not-the-cause",
      "delivered",
      "already-reported",
      "already-reported",
    ]);
    expect(sent.map(({ body }) => body.failed_step)).toEqual(["partition.service"]);
  });

  test("all failures at once make one report (R31)", async () => {
    await using tree = await agentTree();
    await writeEnvelopeTo(tree.paths);
    const { sent, deps } = fakeController();
    const units = ["a.service", "b.service", "c.service", "d.service"];
    await Promise.all(units.map((unit) => report(failureOf(unit), tree.paths, deps)));
    expect(sent).toHaveLength(1);
  });

  test("goes on for as long as the controller is down, over all its URLs, with one delivery id (R47)", async () => {
    await using tree = await agentTree();
    await writeEnvelopeTo(tree.paths);
    const downForLong = Array.from({ length: 100 }, () => "down" as const);
    const { sent, deps, slept } = fakeController([...downForLong, 503, 200]);
    expect(await report({ outcome: "success" }, tree.paths, deps)).toBe("delivered");
    expect(slept()).toBeGreaterThan(10 * 60 * 1000);
    expect(sent.map(({ body }) => body.delivery_id)).toEqual(["delivery-1", "delivery-1"]);
  });

  test("a restart after a crash sends the latched report, not a second one", async () => {
    await using tree = await agentTree();
    await writeEnvelopeTo(tree.paths);
    const refusing = fakeController([403]);
    await expect(report({ outcome: "success" }, tree.paths, refusing.deps)).rejects.toMatchObject({
      code: "FORBIDDEN",
    });
    const { sent, deps } = fakeController();
    expect(await report({ outcome: "success" }, tree.paths, deps)).toBe("delivered");
    expect(sent[0]?.body.delivery_id).toBe("delivery-1");
  });

  test("has nobody to tell before a task was found", async () => {
    await using tree = await agentTree();
    const { sent, deps } = fakeController();
    expect(await report(failureOf("provision-dispatcher.service"), tree.paths, deps)).toBe(
      "nobody-to-tell",
    );
    expect(sent).toEqual([]);
  });
});
