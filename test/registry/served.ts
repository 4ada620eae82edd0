// SPDX-License-Identifier: AGPL-3.0-or-later
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLog } from "../../src/base/deps.ts";
import { type Digest, digestOf } from "../../src/registry/digest.ts";
import { MEDIA_TYPE } from "../../src/registry/manifest.ts";
import {
  createRegistry,
  REGISTRY_SERVER_OPTIONS,
  type Registry,
  type RegistryDeps,
} from "../../src/registry/registry.ts";
import type { Access } from "../../src/registry/routes/call.ts";
import type { Certificate } from "./certificate.ts";

export const everything: Access = { identity: "test", may: () => true };

/** A registry in a directory of its own behind a real server. */
export interface Served {
  readonly root: string;
  readonly url: string;
  readonly port: number;
  readonly registry: Registry;
  /** Path below `/v2/`. */
  ask(method: string, path: string, init?: RequestInit): Promise<Response>;
  /** Stops without a farewell: nothing is flushed. The directory stays. */
  crash(): Promise<void>;
  /** Stops and removes the directory. */
  [Symbol.asyncDispose](): Promise<void>;
}

export async function serveRegistry(
  options: Partial<RegistryDeps> & {
    accessOf?: (request: Request) => Access;
    tls?: Certificate;
  } = {},
): Promise<Served> {
  const { accessOf = () => everything, tls, ...deps } = options;
  const root = deps.root ?? (await mkdtemp(join(tmpdir(), "prov-registry-")));
  const registry = await createRegistry({ log: silentLog, now: Date.now, ...deps, root });
  const server = Bun.serve({
    ...REGISTRY_SERVER_OPTIONS,
    port: 0,
    hostname: "127.0.0.1",
    ...(tls && { tls }),
    fetch: (request) => registry.handle(request, accessOf(request)),
  });
  const port = server.port ?? 0;
  const url = `${tls ? "https" : "http"}://127.0.0.1:${port}`;
  const trust = tls && { tls: { ca: tls.cert } };
  return {
    root,
    url,
    port,
    registry,
    ask: (method, path, init) =>
      fetch(`${url}/v2/${path}`, { method, redirect: "manual", ...trust, ...init }),
    crash: () => server.stop(true),
    async [Symbol.asyncDispose]() {
      await server.stop(true);
      await registry.close();
      await rm(root, { recursive: true, force: true });
    },
  };
}

export const text = (value: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(value);

/** Bytes that repeat nowhere near and are the same in every run. */
export function noise(length: number, seed = 1): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  const words = new Uint32Array(bytes.buffer, 0, length >> 2);
  let state = seed;
  for (let i = 0; i < words.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    words[i] = state;
  }
  return bytes;
}

export async function errorCode(response: Response): Promise<string> {
  const body = (await response.json()) as { errors: { code: string }[] };
  return body.errors[0]?.code ?? "";
}

export async function pushBlob(
  served: Pick<Served, "ask">,
  repository: string,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<Digest> {
  const digest = digestOf(bytes);
  const response = await served.ask("POST", `${repository}/blobs/uploads/?digest=${digest}`, {
    body: bytes,
  });
  if (response.status !== 201) throw new Error(`blob push: ${response.status}`);
  return digest;
}

export interface ImageOptions {
  readonly layers?: readonly Uint8Array<ArrayBuffer>[];
  readonly subject?: Digest;
  readonly artifactType?: string;
  readonly titles?: readonly string[];
}

/** Pushes layers, an empty config and a manifest under `reference`. */
export async function pushImage(
  served: Pick<Served, "ask">,
  repository: string,
  reference: string,
  { layers = [text("layer")], subject, artifactType, titles = [] }: ImageOptions = {},
): Promise<{ digest: Digest; response: Response; manifest: string }> {
  const config = await pushBlob(served, repository, text("{}"));
  const descriptors = [];
  for (const [i, layer] of layers.entries()) {
    descriptors.push({
      mediaType: "application/vnd.oci.image.layer.v1.tar",
      digest: await pushBlob(served, repository, layer),
      size: layer.byteLength,
      ...(titles[i] && { annotations: { "org.opencontainers.image.title": titles[i] } }),
    });
  }
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.image,
    ...(artifactType && { artifactType }),
    config: { mediaType: "application/vnd.oci.empty.v1+json", digest: config, size: 2 },
    layers: descriptors,
    ...(subject && { subject: { mediaType: MEDIA_TYPE.image, digest: subject, size: 1 } }),
  });
  const response = await served.ask("PUT", `${repository}/manifests/${reference}`, {
    body: manifest,
    headers: { "content-type": MEDIA_TYPE.image },
  });
  return { digest: digestOf(manifest), response, manifest };
}

/** A raw exchange over TCP: what is sent, and all that comes back until the server closes. */
export async function exchange(port: number, sent: string): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let received = "";
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      data: (_, data) => {
        received += data.toString();
      },
      close: () => resolve(received),
    },
  });
  socket.write(sent);
  return await promise;
}
