// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import { stepNamed, WORKFLOWS, workflowFor } from "../../src/workflows/all.ts";

describe("workflowFor()", () => {
  test("finds a workflow by its target", () => {
    expect(workflowFor("install-linux.target")).toMatchObject({
      workflow: {
        bootIso: "maintenance",
        steps: [
          { name: "partition", unit: "partition.service" },
          { name: "image-linux", unit: "image-linux.service" },
          { name: "bootloader-linux", unit: "bootloader-linux.service" },
          { name: "config-drive", unit: "config-drive.service" },
        ],
      },
    });
  });

  test("says which there are when there is none", () => {
    expect(workflowFor("install-esxi.target")).toEqual({
      workflow: undefined,
      finding: {
        path: "/task_target",
        code: "unsupported_target",
        message: "there is no workflow for install-esxi.target; there is install-linux.target",
      },
    });
  });
});

test.each(WORKFLOWS.map((w) => w.target))("the steps of %s fit into its time", (target) => {
  const { workflow } = workflowFor(target);
  for (const step of workflow?.steps ?? []) {
    expect(step.budgetMs).toBeLessThanOrEqual(workflow?.budgets.installMs ?? 0);
    expect(stepNamed(target, step.name)).toBe(step);
  }
});
