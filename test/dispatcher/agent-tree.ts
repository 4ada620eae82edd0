// SPDX-License-Identifier: AGPL-3.0-or-later
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AgentPaths, agentPaths } from "../../src/dispatcher/paths.ts";
import type { Envelope } from "../../src/jobs/envelope.ts";

export const ENVELOPE: Envelope = {
  version: 1,
  job_id: "0b9c9ee2-30a9-4b4f-9d4e-7b5f6f1f8a11",
  server_serial: "XF-12345ABC",
  task_target: "install-linux.target",
  controller_urls: ["http://10.0.0.1:8080", "http://10.0.0.2:8080"],
  ca_certificate: null,
  token: "canary-token",
  artifact: {
    registry: null,
    repository: "os-images/debian",
    reference: "13",
    digest: `sha256:${"a".repeat(64)}`,
  },
  network: null,
};

/** A root directory of its own for the agent, gone at the end of the scope. */
export async function agentTree(): Promise<{ root: string; paths: AgentPaths } & AsyncDisposable> {
  const root = await mkdtemp(join(tmpdir(), "prov-agent-"));
  return {
    root,
    paths: agentPaths(root),
    [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }),
  };
}
