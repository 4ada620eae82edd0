// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * A registry in a process of its own, which can be killed: `bun registry-process.ts ROOT` serves ROOT
 * on a free port and prints its URL.
 */
import { silentLog } from "../../src/base/deps.ts";
import { createRegistry, REGISTRY_SERVER_OPTIONS } from "../../src/registry/registry.ts";
import { everything } from "../registry/served.ts";

export interface RegistryProcess {
  readonly url: string;
  readonly pid: number;
  /** Path below `/v2/`. */
  ask(method: string, path: string, init?: RequestInit): Promise<Response>;
  /** Without a farewell: nothing is flushed. */
  kill(): Promise<void>;
}

export async function startRegistryProcess(root: string): Promise<RegistryProcess> {
  const child = Bun.spawn([process.execPath, import.meta.path, root], { stdout: "pipe" });
  const { value } = await child.stdout.getReader().read();
  const url = new TextDecoder().decode(value).trim();
  if (url === "") throw new Error(`the registry exited with ${await child.exited}`);
  return {
    url,
    pid: child.pid,
    ask: (method, path, init) => fetch(`${url}/v2/${path}`, { method, ...init }),
    async kill() {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}

async function serve(root: string): Promise<void> {
  const registry = await createRegistry({ root, log: silentLog, now: Date.now });
  const server = Bun.serve({
    ...REGISTRY_SERVER_OPTIONS,
    hostname: "127.0.0.1",
    port: 0,
    fetch: (request) => registry.handle(request, everything),
  });
  process.stdout.write(`http://127.0.0.1:${server.port}\n`);
}

if (import.meta.main) await serve(process.argv[2] ?? "");
