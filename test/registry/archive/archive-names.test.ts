// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import type { ArchivedManifest } from "../../../src/registry/archive/archive-contents.ts";
import {
  nameOfArtifact,
  parseArchiveName,
  subjectOfTag,
} from "../../../src/registry/archive/archive-index.ts";
import {
  type Into,
  nameArtifacts,
  parseInto,
} from "../../../src/registry/archive/archive-names.ts";
import { planImport, selectArtifacts } from "../../../src/registry/archive/import-plan.ts";
import { type Digest, digestOf } from "../../../src/registry/digest.ts";
import { type Descriptor, MEDIA_TYPE } from "../../../src/registry/manifest.ts";

test.each([
  ["13", null, "13"],
  ["latest", null, "latest"],
  ["os/debian:13", "os/debian", "13"],
  ["debian:13", "debian", "13"],
  ["os/debian", "os/debian", "latest"],
  ["localhost/os/debian:13", "os/debian", "13"],
  ["docker.io/library/debian:13", "library/debian", "13"],
  ["registry:5000/debian:13", "debian", "13"],
  [`os/debian@${digestOf("x")}`, "os/debian", null],
  [`os/debian:13@${digestOf("x")}`, "os/debian", "13"],
])("the name %s is of repository %s and tag %s", (text, repository, tag) => {
  expect(parseArchiveName(text)).toEqual({ repository, tag });
});

test.each([
  "",
  "Os/Debian:13",
  "../etc:1",
  "os//debian:1",
  "os/debian:",
  "a/b@sha256:12",
  "a/b:c d",
])("%j is no name", (text) => {
  expect(() => parseArchiveName(text)).toThrow(SyntaxError);
});

test("the tags of cosign and of the referrers fallback name their subject", () => {
  const digest = digestOf("x");
  const tag = digest.replace(":", "-");
  for (const end of ["", ".sig", ".att", ".sbom"]) expect(subjectOfTag(tag + end)).toBe(digest);
  for (const other of ["13", "sha256-12.sig", `x${tag}`, `${tag}sig`]) {
    expect(subjectOfTag(other)).toBeUndefined();
  }
});

test("--into takes a repository, with a tag or without", () => {
  expect(parseInto("mirror")).toEqual({ repository: "mirror", tag: null });
  expect(parseInto("os/debian:13")).toEqual({ repository: "os/debian", tag: "13" });
  for (const text of ["", "Mirror", "a:b:c", "host:5000/a", "a@sha256:12", "a:"]) {
    expect(() => parseInto(text)).toThrow(`Cannot import into "${text}"`);
  }
});

interface Made {
  readonly name?: string;
  /** The same under one more name. */
  readonly alias?: string;
  readonly children?: readonly string[];
  readonly subject?: string;
  readonly layers?: readonly (readonly [content: string, size: number])[];
}

const descriptorOf = (id: string, size = 1): Descriptor => ({
  mediaType: MEDIA_TYPE.image,
  digest: digestOf(id),
  size,
  annotations: {},
  isForeign: false,
});

/** Manifests by a word each, whose digest is the word's. */
function archiveOf(made: Readonly<Record<string, Made>>, unlisted: readonly string[] = []) {
  const manifests = new Map<Digest, ArchivedManifest>();
  const descriptors: Descriptor[] = [];
  for (const [id, { name, alias, children = [], subject, layers = [] }] of Object.entries(made)) {
    manifests.set(digestOf(id), {
      size: 1,
      manifest: {
        kind: children.length > 0 ? "index" : "image",
        mediaType: MEDIA_TYPE.image,
        artifactType: undefined,
        config: undefined,
        layers: layers.map(([content, size]) => descriptorOf(content, size)),
        manifests: children.map((child) => descriptorOf(child)),
        subject: subject === undefined ? undefined : descriptorOf(subject),
        annotations: {},
      },
    });
    const annotations = name === undefined ? {} : { "org.opencontainers.image.ref.name": name };
    if (!unlisted.includes(id)) descriptors.push({ ...descriptorOf(id), annotations });
    if (alias !== undefined) {
      const other = { "org.opencontainers.image.ref.name": alias };
      descriptors.push({ ...descriptorOf(id), annotations: other });
    }
  }
  return { descriptors, manifests };
}

const words = (made: Readonly<Record<string, Made>>) =>
  new Map(Object.keys(made).map((id) => [digestOf(id), id]));

function namesOf(made: Readonly<Record<string, Made>>, into: Into | null): string[] {
  const known = words(made);
  return nameArtifacts(archiveOf(made), into).map((artifact) => {
    const name = nameOfArtifact(artifact);
    return name.replace(artifact.digest, known.get(artifact.digest) ?? "");
  });
}

const into = (repository: string, tag: string | null = null): Into => ({ repository, tag });

test.each([
  [
    "names of their own",
    { a: { name: "os/x:1" }, b: { name: "os/y:2" } },
    null,
    ["os/x:1", "os/y:2"],
  ],
  ["a prefix", { a: { name: "os/x:1" } }, into("mirror"), ["mirror/os/x:1"]],
  ["bare tags in a repository", { a: { name: "13" } }, into("os/x"), ["os/x:13"]],
  ["one without a name", { a: {} }, into("os/x", "7"), ["os/x:7"]],
  ["some without names", { a: {}, b: {} }, into("os/x"), ["os/x@a", "os/x@b"]],
  [
    "what refers to a named one goes with it, and on",
    { c: { subject: "b" }, b: { subject: "a" }, a: { name: "os/x:1" } },
    null,
    ["os/x:1", "os/x@b", "os/x@c"],
  ],
  [
    "what refers to a child goes with the index",
    { i: { name: "os/x:1", children: ["a"] }, a: {}, s: { subject: "a" } },
    null,
    ["os/x:1", "os/x@s"],
  ],
  [
    "one subject in two repositories",
    { a: { name: "os/x:1", alias: "os/y:1" }, s: { subject: "a" } },
    into("m"),
    ["m/os/x:1", "m/os/y:1", "m/os/x@s", "m/os/y@s"],
  ],
  ["one name, given twice", { a: { name: "os/x:1", alias: "os/x:1" } }, null, ["os/x:1"]],
] as const)("R48: imported under %s", (_, made, where, names) => {
  expect(namesOf(made, where).sort()).toEqual([...names].sort());
});

test("R48: what cannot be named is refused", () => {
  expect(() => namesOf({ a: { name: "13" } }, null)).toThrow("names no repository");
  expect(() => namesOf({ a: {} }, null)).toThrow("has no name for it");
  expect(() => namesOf({ a: {}, b: {} }, into("os/x", "1"))).toThrow("Cannot tag 2 artifacts");
  expect(() => namesOf({ a: { name: "x/y:1" }, b: { name: "x/y:1" } }, null)).toThrow(
    'it has two artifacts "x/y:1"',
  );
});

const site = {
  app: {
    name: "os/x:1",
    layers: [
      ["small", 1],
      ["large", 9],
    ],
  },
  list: { name: "os/y:2", children: ["arm", "amd"] },
  arm: { layers: [["large", 9]] },
  amd: {},
  sbom: { name: `os/y@${digestOf("sbom")}`, subject: "arm" },
  signature: { name: `os/y@${digestOf("signature")}`, subject: "sbom" },
  cosign: { name: `os/x:${digestOf("app").replace(":", "-")}.sig` },
} as const;

const siteArchive = archiveOf(site, ["arm", "amd"]);
const named = nameArtifacts(siteArchive, null);

test.each([
  [null, ["app", "list", "sbom", "signature", "cosign"]],
  [["os/*"], ["app", "list", "sbom", "signature", "cosign"]],
  [["os/y"], ["list", "sbom", "signature"]],
  [["os/y:2"], ["list", "sbom", "signature"]],
  [["os/x:1"], ["app", "cosign"]],
  [["os/*:2"], ["list", "sbom", "signature"]],
  [["none"], []],
])("R48: --only=%s takes what it fits and what refers to that", (only, ids) => {
  const known = words(site);
  const selected = selectArtifacts(named, siteArchive.manifests, only);
  expect(selected.map(({ digest }) => known.get(digest) ?? "")).toEqual(ids);
});

test("R48: blobs come before their manifest, children before their index, tags last", () => {
  const known = new Map([
    ...words(site),
    ...["small", "large"].map((id) => [digestOf(id), id] as const),
  ]);
  const steps = planImport(named, siteArchive.manifests).map((step) => {
    const from = step.kind === "blob" && step.from !== null ? ` from ${step.from}` : "";
    const tag = step.kind === "tag" ? `:${step.tag.slice(0, 6)}` : "";
    return `${step.kind} ${step.repository}${tag} ${known.get(step.digest)}${from}`;
  });
  expect(steps).toEqual([
    "blob os/x large",
    "blob os/x small",
    "manifest os/x app",
    "blob os/y large from os/x",
    "manifest os/y arm",
    "manifest os/y amd",
    "manifest os/y list",
    "manifest os/y sbom",
    "manifest os/y signature",
    "manifest os/x cosign",
    "tag os/x:1 app",
    "tag os/y:2 list",
    "tag os/x:sha256 cosign",
  ]);
});
