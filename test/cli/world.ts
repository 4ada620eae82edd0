// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * The command line against a controller in the same process, with a real database and a real registry.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLog } from "../../src/base/deps.ts";
import { main } from "../../src/cli/main.ts";
import { createRegistry, type Registry } from "../../src/registry/registry.ts";
import { Site } from "../controller/site.ts";
import { FakeTerminal } from "./fake-terminal.ts";

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

interface RunOptions {
  /** A user of the site, whose name is their password. */
  readonly as?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly stdin?: string;
}

export class World implements AsyncDisposable {
  readonly site: Site;
  readonly directory = mkdtempSync(join(tmpdir(), "prov-cli-"));
  /** While it is true nobody answers, as when the controller is being restarted. */
  isAway = false;
  /** Everything that was printed by any command: no secret may be in it. */
  printed = "";
  #registry: Registry | undefined;

  static async open(): Promise<World> {
    const world = new World(await Site.open());
    const root = join(world.directory, "registry");
    const registry = await createRegistry({ root, log: silentLog, now: Date.now });
    world.#registry = registry;
    world.site.startAnother((deps) => ({ ...deps, registry }));
    return world;
  }

  private constructor(site: Site) {
    this.site = site;
  }

  readonly fetch = (url: string, init?: BunFetchRequestInit): Promise<Response> => {
    if (this.isAway) return Promise.reject(new Error("connection refused"));
    return this.site.controller.fetch(new Request(url, init));
  };

  /** Runs `prov <words>` to its end. */
  async run(words: string, options: RunOptions = {}): Promise<Ran> {
    const { as = "operator", env, stdin } = options;
    const terminal = new FakeTerminal({
      env: {
        PATH: process.env.PATH,
        XDG_STATE_HOME: join(this.directory, "state"),
        PROV_USER: as,
        PROV_PASSWORD: as,
        ...env,
      },
      ...(stdin !== undefined && { stdin }),
    });
    return await this.runOn(terminal, words);
  }

  async runOn(terminal: FakeTerminal, words: string): Promise<Ran> {
    const { now, sleep } = this.site.clock;
    const argv = words.split(" ").filter((word) => word !== "");
    const code = await main(argv, terminal, { fetch: this.fetch, now, sleep });
    const [out, err] = [terminal.outLines.join("\n"), terminal.errLines.join("\n")];
    this.printed += `${out}\n${err}\n${terminal.drawn.join("\n")}\n`;
    return { code, out, err };
  }

  /** Writes a file and returns its path, which has no spaces. */
  async file(name: string, content: string | Uint8Array): Promise<string> {
    const path = join(this.directory, name);
    await Bun.write(path, content);
    return path;
  }

  /** As when `prov serve` has ended. */
  async stopRegistry(): Promise<void> {
    await this.#registry?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.site[Symbol.asyncDispose]();
    await this.#registry?.close();
    rmSync(this.directory, { recursive: true });
  }
}
