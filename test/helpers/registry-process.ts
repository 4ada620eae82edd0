// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * A registry in a process of its own, which can be killed: `bun registry-process.ts ROOT [AHEAD]` serves
 * ROOT on a free port and prints its URL. Its clock is AHEAD ms ahead.
 */
import { silentLog } from "../../src/base/deps.ts";
import { millis } from "../../src/base/units.ts";
import { createRegistry, REGISTRY_SERVER_OPTIONS } from "../../src/registry/registry.ts";
import { everything } from "../registry/served.ts";

export interface RegistryProcess {
  readonly url: string;
  readonly pid: number;
  /** Path below `/v2/`. */
  ask(method: string, path: string, init?: RequestInit): Promise<Response>;
  /** Collects garbage, without any grace. */
  collect(): Promise<void>;
  /** Without a farewell: nothing is flushed. */
  kill(): Promise<void>;
}

export async function startRegistryProcess(root: string, ahead = 0): Promise<RegistryProcess> {
  const script = [import.meta.path, root, String(ahead)];
  const child = Bun.spawn([process.execPath, ...script], { stdout: "pipe" });
  const { value } = await child.stdout.getReader().read();
  const url = new TextDecoder().decode(value).trim();
  if (url === "") throw new Error(`the registry exited with ${await child.exited}`);
  return {
    url,
    pid: child.pid,
    ask: (method, path, init) => fetch(`${url}/v2/${path}`, { method, ...init }),
    async collect() {
      const response = await fetch(`${url}${COLLECT}`, { method: "POST" });
      if (!response.ok) throw new Error(`garbage collection: ${await response.text()}`);
    },
    async kill() {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}

const COLLECT = "/collect";

async function serve(root: string, ahead: number): Promise<void> {
  const now = () => Date.now() + ahead;
  const registry = await createRegistry({ root, log: silentLog, now });
  const collect = async (): Promise<Response> => {
    const inUse = () => Promise.resolve(new Map());
    const options = { dryRun: false, grace: millis(0), inUse };
    return Response.json(await registry.housekeeping.collect(options));
  };
  const server = Bun.serve({
    ...REGISTRY_SERVER_OPTIONS,
    hostname: "127.0.0.1",
    port: 0,
    fetch: (request) =>
      request.url.endsWith(COLLECT) ? collect() : registry.handle(request, everything),
  });
  process.stdout.write(`http://127.0.0.1:${server.port}\n`);
}

if (import.meta.main) await serve(process.argv[2] ?? "", Number(process.argv[3] ?? 0));
