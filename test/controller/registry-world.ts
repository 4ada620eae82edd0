// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * A controller in front of a real registry, spoken to as registry clients do.
 */
import type { ControllerConfig } from "../../src/controller/config.ts";
import { createRegistry, type Registry } from "../../src/registry/registry.ts";
import { temporaryDirectory } from "../store/fresh-store.ts";
import { Site } from "./site.ts";

export const LAYER = "a root file system";
export const digestOf = (text: string): string =>
  `sha256:${new Bun.CryptoHasher("sha256").update(text).digest("hex")}`;

export const MANIFEST = JSON.stringify({
  schemaVersion: 2,
  mediaType: "application/vnd.oci.image.manifest.v1+json",
  artifactType: "application/vnd.prov.rootfs.v1",
  config: { mediaType: "application/vnd.oci.empty.v1+json", digest: digestOf("{}"), size: 2 },
  layers: [{ mediaType: "application/tar", digest: digestOf(LAYER), size: LAYER.length }],
});

export const basic = (name: string, password = name): string =>
  `Basic ${btoa(`${name}:${password}`)}`;

export class RegistryWorld implements AsyncDisposable {
  readonly site: Site;
  readonly registry: Registry;
  readonly root: string;
  readonly #directory: ReturnType<typeof temporaryDirectory>;

  static async open(config: Partial<ControllerConfig> = {}): Promise<RegistryWorld> {
    const directory = temporaryDirectory();
    const site = await Site.open(config);
    const registry = await createRegistry({
      root: directory.path,
      log: site.deps.log,
      now: site.clock.now,
    });
    site.startAnother((deps) => ({ ...deps, registry }));
    return new RegistryWorld(site, registry, directory);
  }

  private constructor(
    site: Site,
    registry: Registry,
    directory: ReturnType<typeof temporaryDirectory>,
  ) {
    this.site = site;
    this.registry = registry;
    this.root = directory.path;
    this.#directory = directory;
  }

  /** @param path below `/v2/`. */
  call(
    method: string,
    path: string,
    authorization: string | null,
    body?: string,
    base = "http://127.0.0.1:8080",
  ): Promise<Response> {
    const headers = {
      ...(authorization !== null && { authorization }),
      ...(body !== undefined && { "content-type": "application/vnd.oci.image.manifest.v1+json" }),
    };
    const init = { method, headers, ...(body !== undefined && { body }) };
    return this.site.send(new Request(`${base}/v2/${path}`, init));
  }

  /** Pushes the image of {@link MANIFEST} as `13`, as an administrator. */
  async push(repository: string, tag = "13", manifest = MANIFEST): Promise<void> {
    const admin = basic("admin");
    for (const blob of ["{}", LAYER]) {
      const path = `${repository}/blobs/uploads/?digest=${digestOf(blob)}`;
      const { status } = await this.call("POST", path, admin, blob);
      if (status !== 201) throw new Error(`blob push: ${status}`);
    }
    const { status } = await this.call("PUT", `${repository}/manifests/${tag}`, admin, manifest);
    if (status !== 201) throw new Error(`manifest push: ${status}`);
  }

  async setPolicy(document: unknown): Promise<void> {
    const answer = await this.site.api("PUT", "/api/v1/registry/policy", {
      as: "admin",
      body: document,
    });
    if (answer.status !== 200) throw new Error(answer.text);
  }

  /** @returns its token. */
  async addRobot(name: string, grants: unknown, expires_at: string | null = null): Promise<string> {
    const body = { name, grants, expires_at };
    const answer = await this.site.api("POST", "/api/v1/robots", { as: "admin", body });
    if (answer.status !== 201) throw new Error(answer.text);
    return answer.body.token;
  }

  /** Asks `/v2/token`. @returns `Bearer …` */
  async token(authorization: string | null, ...scopes: string[]): Promise<string> {
    const query = new URLSearchParams({ service: "prov" });
    for (const scope of scopes) query.append("scope", scope);
    const response = await this.call("GET", `token?${query}`, authorization);
    if (response.status !== 200) throw new Error(`token: ${response.status}`);
    const { token } = (await response.json()) as { token: string };
    return `Bearer ${token}`;
  }

  /** `identity action outcome repository reference`, newest first. */
  async audited(): Promise<string[]> {
    const { entries } = await this.registry.auditPage({ limit: 1000 });
    return entries.map(({ identity, action, outcome, repository = "-", reference = "-" }) =>
      [identity, action, outcome, repository, reference].join(" "),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.site[Symbol.asyncDispose]();
    await this.registry.close();
    this.#directory[Symbol.dispose]();
  }
}
