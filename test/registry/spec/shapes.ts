// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Algorithm } from "../../../src/registry/digest.ts";
import { MANIFEST_MAX_BYTES, MEDIA_TYPE } from "../../../src/registry/manifest.ts";
import { text } from "../served.ts";
import { CONFIG_TYPE, type Content, createContent, EMPTY_TYPE, LAYER_TYPE } from "./content.ts";

const TYPE = "application/vnd.example.thing.v1";
const FOREIGN = "application/vnd.oci.image.layer.nondistributable.v1.tar";

interface Shape {
  readonly make: (content: Content) => void;
  readonly algorithm?: Algorithm;
  /** The tags are set by the push by digest (`?tag=`), and not by pushes of their own. */
  readonly hasTagParameters?: boolean;
}

const platforms = (content: Content) =>
  ["amd64", "arm64"].map((architecture) => ({
    ...content.platform(architecture),
    platform: { os: "linux", architecture },
  }));

/** Every kind of content that clients push. */
const SHAPES: Readonly<Record<string, Shape>> = {
  "an image": { make: (c) => void c.platform("amd64", {}, "v1") },
  "an image of plain tar layers": {
    make: (c) => {
      const layers = [c.blob(text("tar"), "application/vnd.oci.image.layer.v1.tar")];
      c.image({ config: c.blob(text('{"os":"linux"}'), CONFIG_TYPE), layers }, "plain");
    },
  },
  "an image without layers": {
    make: (c) => void c.image({ config: c.blob(text("{ }"), CONFIG_TYPE), layers: [] }, "bare"),
  },
  "an image with an empty layer": {
    make: (c) =>
      void c.platform("amd64", { layers: [c.blob(text(""), LAYER_TYPE)] }, "empty-layer"),
  },
  "an image whose manifest is almost too large": {
    make: (c) => {
      const room = MANIFEST_MAX_BYTES - 2000;
      const keys = Array.from({ length: 400 }, (_, i) => `key-${i}`);
      const value = "A".repeat(Math.floor(room / keys.length) - 20);
      c.platform(
        "amd64",
        { annotations: Object.fromEntries(keys.map((k) => [k, value])) },
        "large",
      );
    },
  },
  "an index": { make: (c) => void c.index({ manifests: platforms(c) }, "index") },
  "an index of indexes": {
    make: (c) => {
      const inner = [1, 2].map(() => c.index({ manifests: platforms(c) }));
      c.index({ manifests: inner }, "nested");
    },
  },
  "an empty index": { make: (c) => void c.index({ manifests: [] }, "nothing") },
  "an artifact": { make: (c) => void c.artifact({ artifactType: TYPE }, "artifact") },
  "an artifact without content": {
    make: (c) => {
      const empty = c.blob(text("{}"), EMPTY_TYPE);
      c.image({ artifactType: TYPE, config: empty, layers: [empty] }, "no-content");
    },
  },
  "an artifact that is known by its configuration": {
    make: (c) => {
      const config = c.blob(text('{"a":1}'), "application/vnd.example.config.v1+json");
      c.artifact({ config, subject: c.absent(MEDIA_TYPE.image) }, "configured");
    },
  },
  "an index of artifacts": {
    make: (c) => {
      const manifests = [1, 2].map(() => c.artifact({ artifactType: TYPE }));
      c.index({ artifactType: TYPE, manifests }, "artifacts");
    },
  },
  "an image and what refers to it": {
    make: (c) => {
      const subject = c.platform("amd64", {}, "image");
      const annotations = { "org.example.key": "a value", "org.example.other": "" };
      c.platform("amd64", { subject });
      c.artifact({ artifactType: TYPE, subject, annotations }, "sbom");
      c.artifact({ artifactType: `${TYPE}.other`, subject, annotations }, "signature");
    },
  },
  "an index and what refers to it": {
    make: (c) => {
      const subject = c.index({ manifests: platforms(c) }, "index");
      const fields = { artifactType: TYPE, subject, annotations: { "org.example.key": "value" } };
      c.index({ ...fields, manifests: [c.artifact(fields)] }, "about-index");
      c.index({ subject, manifests: [] });
    },
  },
  "an artifact whose subject never comes": {
    make: (c) => {
      const subject = c.absent(MEDIA_TYPE.image);
      c.artifact({ artifactType: TYPE, subject, annotations: { a: "b" } }, "orphan");
    },
  },
  "descriptors that carry their content": {
    make: (c) => {
      const config = c.blob(text("{}"), CONFIG_TYPE, { data: btoa("{}") });
      c.image({ config, layers: [c.blob(text("hi"), LAYER_TYPE, { data: btoa("hi") })] }, "data");
    },
  },
  "layers that lie elsewhere": {
    make: (c) => {
      const urls = ["https://store.example.com/layer"];
      const layers = [c.absent(FOREIGN, { urls }), c.absent(`${FOREIGN}+gzip`, { urls })];
      c.platform("amd64", { layers: [...layers, c.blob(text("here"), LAYER_TYPE)] }, "foreign");
    },
  },
  "fields that nobody knows": {
    make: (c) => {
      const custom = { "org.example.custom": { a: [1, null, "x"] }, zero: 0 };
      const manifests = ["amd64", "arm64"].map((a) => c.platform(a, custom));
      c.index({ manifests: manifests.map((m) => ({ ...m, ...custom })), ...custom }, "custom");
    },
  },
  "annotations that look like trouble": {
    make: (c) => {
      const annotations = JSON.parse('{"__proto__":"x","":"","ключ":"\\u0000\\n","a\\"b":"<b>"}');
      c.artifact({ artifactType: TYPE, annotations, subject: c.absent(MEDIA_TYPE.image) }, "odd");
    },
  },
  "an image of which a layer never comes": {
    make: (c) => {
      const layers = [c.blob(text("here"), LAYER_TYPE), c.absent(LAYER_TYPE)];
      c.platform("amd64", { layers }, "sparse-image");
    },
  },
  "an index of which an image never comes": {
    make: (c) => {
      const manifests = [c.platform("amd64"), c.absent(MEDIA_TYPE.image)];
      c.index({ manifests }, "sparse-index");
    },
  },
  "an image of sha512 digests": {
    algorithm: "sha512",
    make: (c) => void c.index({ manifests: platforms(c), subject: c.absent(MEDIA_TYPE.image) }),
  },
  "docker's image and list": {
    make: (c) => {
      const config = c.blob(text("{  }"), "application/vnd.docker.container.image.v1+json");
      const image = c.manifest(MEDIA_TYPE.dockerImage, {
        config,
        layers: [c.blob(text("l"), "application/vnd.docker.image.rootfs.diff.tar.gzip")],
      });
      c.manifest(MEDIA_TYPE.dockerList, { manifests: [image] }, "docker");
    },
  },
  "the artifact manifest that came and went": {
    make: (c) => {
      const blobs = [c.blob(text("thing"), TYPE)];
      const fields = { artifactType: TYPE, blobs, subject: c.absent(MEDIA_TYPE.image) };
      c.manifest("application/vnd.oci.artifact.manifest.v1+json", fields, "old");
    },
  },
  ...Object.fromEntries(
    (["sha256", "sha512"] as const).map((algorithm): [string, Shape] => [
      `tags as parameters of a push by ${algorithm}`,
      {
        algorithm,
        hasTagParameters: true,
        make: (c) => {
          const manifests = [c.platform("amd64", {}, `${algorithm}-0`)];
          c.index({ manifests }, `${algorithm}-1`, `${algorithm}.latest`, `${algorithm}_x`);
        },
      },
    ]),
  ),
};

/** Content of each shape, made anew. */
export function makeShapes(): { name: string; content: Content; hasTagParameters: boolean }[] {
  return Object.entries(SHAPES).map(([name, { make, algorithm, hasTagParameters = false }]) => {
    const content = createContent(algorithm);
    make(content);
    return { name, content, hasTagParameters };
  });
}
