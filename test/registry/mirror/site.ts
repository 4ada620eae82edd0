// SPDX-License-Identifier: AGPL-3.0-or-later
import { minutes, seconds } from "../../../src/base/units.ts";
import type { UpstreamConfig } from "../../../src/registry/mirror/upstream.ts";
import type { RegistryDeps } from "../../../src/registry/registry.ts";
import { type Served, serveRegistry } from "../served.ts";
import { type Link, openLink } from "./link.ts";

export const TTL = minutes(5);

type ServeOptions = NonNullable<Parameters<typeof serveRegistry>[0]>;

/** A registry, a mirror of it, and the line between them. */
export interface MirrorSite extends AsyncDisposable {
  readonly central: Served;
  readonly link: Link;
  mirror: Served;
  /** Moves the mirror's clock. */
  pass(ms: number): void;
  /** Ends the mirror, and starts it again over the same directory. @param between for what happens there. */
  restart(between?: () => Promise<void>): Promise<void>;
}

export async function openSite(
  options: {
    readonly upstream?: Partial<UpstreamConfig>;
    readonly central?: ServeOptions;
    readonly mirror?: ServeOptions & Partial<RegistryDeps>;
  } = {},
): Promise<MirrorSite> {
  const central = await serveRegistry(options.central);
  const link = await openLink(central.port);
  let ahead = 0;
  const serve = (root?: string) =>
    serveRegistry({
      now: () => Date.now() + ahead,
      upstreamWaits: { answer: seconds(2), recheck: seconds(1), patience: seconds(2) },
      ...options.mirror,
      ...(root !== undefined && { root }),
      upstream: {
        registry: link.url,
        prefix: "",
        authorization: null,
        ca: null,
        ttl: TTL,
        repositories: ["**"],
        ...options.upstream,
      },
    });
  const site: MirrorSite = {
    central,
    link,
    mirror: await serve(),
    pass(ms) {
      ahead += ms;
    },
    async restart(between) {
      const { root } = site.mirror;
      await site.mirror.crash();
      await site.mirror.registry.close();
      await between?.();
      site.mirror = await serve(root);
    },
    async [Symbol.asyncDispose]() {
      await site.mirror[Symbol.asyncDispose]();
      await link[Symbol.asyncDispose]();
      await central[Symbol.asyncDispose]();
    },
  };
  return site;
}
