// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * What artifacts are called in manifests. `artifactType` says what one is for, the media type of its
 * layer how it is packed. docs/registry.md shows the same tables.
 */

/** Kinds of artifact by their short name, as `--type` takes it. */
export const ARTIFACT_KINDS = {
  rootfs: {
    artifactType: "application/vnd.prov.rootfs.v1",
    about: "a tar of a root file system, plain or compressed with gzip, zstd or xz",
  },
  wim: {
    artifactType: "application/vnd.prov.wim.v1",
    about: "a Windows image (WIM), pipable or not",
  },
  iso: { artifactType: "application/vnd.prov.iso.v1", about: "an ISO 9660 image" },
  disk: {
    artifactType: "application/vnd.prov.disk.v1",
    about: "an image of a whole disk: qcow2, or raw with a GPT or an MBR",
  },
  file: {
    artifactType: "application/vnd.prov.file.v1",
    about: "anything else, such as firmware",
  },
} as const satisfies Record<string, { readonly artifactType: string; readonly about: string }>;

export type ArtifactKind = keyof typeof ARTIFACT_KINDS;

export type Compression = "gzip" | "zstd" | "xz";

/** What a file is once it is unpacked. */
export type Format = "tar" | "wim" | "iso" | "qcow2" | "raw-disk" | "other";

export const KIND_OF_FORMAT: Readonly<Record<Format, ArtifactKind>> = {
  tar: "rootfs",
  wim: "wim",
  iso: "iso",
  qcow2: "disk",
  "raw-disk": "disk",
  other: "file",
};

/**
 * Media types of layers. OCI (image-spec, layer.md) names those of tars, and none for xz; `vnd.efi.*` are
 * registered with IANA, the other two are what freedesktop.org's shared-mime-info says.
 */
const PLAIN: Readonly<Record<Format, string>> = {
  tar: "application/vnd.oci.image.layer.v1.tar",
  wim: "application/x-ms-wim",
  iso: "application/vnd.efi.iso",
  qcow2: "application/x-qemu-disk",
  "raw-disk": "application/vnd.efi.img",
  other: "application/octet-stream",
};

const COMPRESSED: Readonly<Record<Compression, string>> = {
  gzip: "application/gzip",
  zstd: "application/zstd",
  xz: "application/x-xz",
};

const COMPRESSED_TAR: Readonly<Record<Compression, string>> = {
  gzip: `${PLAIN.tar}+gzip`,
  zstd: `${PLAIN.tar}+zstd`,
  xz: COMPRESSED.xz,
};

export function layerMediaType(format: Format, compression: Compression | undefined): string {
  if (compression === undefined) return PLAIN[format];
  return (format === "tar" ? COMPRESSED_TAR : COMPRESSED)[compression];
}
