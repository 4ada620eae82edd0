// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * What people keep in a registry, made up: a repository's worth of blobs and manifests, in the order
 * in which they are pushed, and what the registry is to say about them.
 */
import { type Algorithm, type Digest, digestOf } from "../../../src/registry/digest.ts";
import { MEDIA_TYPE } from "../../../src/registry/manifest.ts";
import { text } from "../served.ts";

export const EMPTY_TYPE = "application/vnd.oci.empty.v1+json";
export const CONFIG_TYPE = "application/vnd.oci.image.config.v1+json";
export const LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip";

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
  readonly [field: string]: unknown;
}

export interface MadeManifest {
  readonly descriptor: Descriptor;
  readonly text: string;
  readonly tags: readonly string[];
  readonly subject: Descriptor | undefined;
  /** As the list of referrers shows it. */
  readonly artifactType: string | undefined;
  readonly annotations: Readonly<Record<string, string>> | undefined;
}

interface ManifestFields {
  readonly artifactType?: string;
  readonly subject?: Descriptor;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly [field: string]: unknown;
}

export interface Content {
  readonly blobs: Map<Digest, Uint8Array<ArrayBuffer>>;
  readonly manifests: MadeManifest[];
  blob(bytes: Uint8Array<ArrayBuffer>, mediaType: string, fields?: object): Descriptor;
  /** Of something that is in no registry. */
  absent(mediaType: string, fields?: object): Descriptor;
  image(
    fields: ManifestFields & { config: Descriptor; layers: Descriptor[] },
    ...tags: string[]
  ): Descriptor;
  index(fields: ManifestFields & { manifests: Descriptor[] }, ...tags: string[]): Descriptor;
  /** Any manifest: `fields` as they are. */
  manifest(mediaType: string, fields: ManifestFields, ...tags: string[]): Descriptor;
  /** An image for a platform with layers of its own. */
  platform(architecture: string, fields?: ManifestFields, ...tags: string[]): Descriptor;
  /** An artifact: nothing to configure, and one file. */
  artifact(fields: ManifestFields, ...tags: string[]): Descriptor;
}

export function createContent(algorithm: Algorithm = "sha256"): Content {
  const blobs = new Map<Digest, Uint8Array<ArrayBuffer>>();
  const manifests: MadeManifest[] = [];
  let count = 0;
  const random = () => crypto.getRandomValues(new Uint8Array(600 + count++));

  const content: Content = {
    blobs,
    manifests,
    blob(bytes, mediaType, fields = {}) {
      const digest = digestOf(bytes, algorithm);
      blobs.set(digest, bytes);
      return { mediaType, digest, size: bytes.byteLength, ...fields };
    },
    absent: (mediaType, fields = {}) => ({
      ...{ mediaType, digest: digestOf(random(), algorithm), size: 12345, ...fields },
    }),
    image: (fields, ...tags) => content.manifest(MEDIA_TYPE.image, fields, ...tags),
    index: (fields, ...tags) => content.manifest(MEDIA_TYPE.index, fields, ...tags),
    manifest(mediaType, fields, ...tags) {
      const body = JSON.stringify({ schemaVersion: 2, mediaType, ...fields });
      const descriptor = {
        mediaType,
        digest: digestOf(body, algorithm),
        size: Buffer.byteLength(body),
      };
      const config = fields.config as Descriptor | undefined;
      const { subject, annotations, artifactType = config?.mediaType } = fields;
      manifests.push({ descriptor, text: body, tags, subject, artifactType, annotations });
      return descriptor;
    },
    platform(architecture, fields = {}, ...tags) {
      const layers = [1, 2].map(() => content.blob(Bun.gzipSync(random()), LAYER_TYPE));
      const rootfs = { type: "layers", diff_ids: layers.map(({ digest }) => digest) };
      const config = text(JSON.stringify({ os: "linux", architecture, rootfs }));
      return content.image(
        { config: content.blob(config, CONFIG_TYPE), layers, ...fields },
        ...tags,
      );
    },
    artifact: (fields, ...tags) =>
      content.image(
        {
          config: content.blob(text("{}"), EMPTY_TYPE),
          layers: [content.blob(random(), "application/vnd.example.file.v1")],
          ...fields,
        },
        ...tags,
      ),
  };
  return content;
}
