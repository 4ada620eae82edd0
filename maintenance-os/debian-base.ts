// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * The live system's base and the tool images, made from Debian packages.
 */
import { join } from "node:path";
import { run, type Stage, stage, type Workshop, withOwnMounts } from "./stage.ts";

const HERE = import.meta.dir;
const SUITE = "trixie";

/** What Debian packages bring and nothing here uses, some of it large. */
const EXCLUDED_PATHS = [
  "/usr/share/doc/*",
  "/usr/share/info/*",
  "/usr/share/locale/*",
  "/usr/share/man/*",
  // podman's other network backend, its self-test, and its mode for other users than root.
  "/usr/lib/cni/*",
  "/usr/libexec/podman/podman-testing",
  "/usr/libexec/podman/rootlessport",
];

/** The root folder of the live system, with the boot files for the ISO in /usr/lib/prov/boot. */
export async function debianBase(workshop: Workshop): Promise<Stage> {
  const packages = (await text("debian/packages.txt")).match(/^[^#\s].*$/gm) ?? [];
  const inputs = await Promise.all(
    [
      "debian/customize.sh",
      "scripts/prune-modules.sh",
      "kernel-modules.txt",
      "masked-units.txt",
      "rootfs/usr/lib/systemd/system-preset/00-maintenance-os.preset",
    ].map(text),
  );
  return await stage(
    "base",
    [mmdebstrap("", []).join(" "), ...packages, ...inputs],
    workshop,
    (path) =>
      run(
        mmdebstrap(path, [
          "--format=directory",
          `--include=${packages.join(",")}`,
          `--customize-hook=MAINTENANCE_OS='${HERE}' '${HERE}/debian/customize.sh' "$1"`,
        ]),
        workshop,
      ),
  );
}

/** A store of container images with one image for each folder in tools/, readable in place. */
export async function toolImages(base: Stage, workshop: Workshop): Promise<Stage> {
  const minimal = await stage("tool-base", mmdebstrap("", []), workshop, (path) =>
    run(mmdebstrap(path, ["--format=tar"]), workshop),
  );
  const files = await Array.fromAsync(new Bun.Glob("tools/*/*").scan(HERE));
  const inputs = await Promise.all(["scripts/tools.sh", ...files.sort()].map(text));
  return await stage("tool-images", [minimal.key, ...files, ...inputs], workshop, (path) => {
    const script = join(HERE, "scripts/tools.sh");
    return run(
      withOwnMounts([script, base.path, minimal.path, join(HERE, "tools"), path]),
      workshop,
    );
  });
}

function mmdebstrap(path: string, options: readonly string[]): string[] {
  return withOwnMounts([
    "mmdebstrap",
    "--quiet",
    "--mode=root",
    "--variant=minbase",
    "--dpkgopt=force-unsafe-io",
    ...EXCLUDED_PATHS.map((glob) => `--dpkgopt=path-exclude=${glob}`),
    '--aptopt=Apt::Install-Recommends "false"',
    ...options,
    SUITE,
    path,
  ]);
}

function text(path: string): Promise<string> {
  return Bun.file(join(HERE, path)).text();
}
