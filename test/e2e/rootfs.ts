// SPDX-License-Identifier: AGPL-3.0-or-later
import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";

/** What the demonstration installs: a Debian server that boots under UEFI and listens to cloud-init. */
const SUITE = "trixie";
const PACKAGES = [
  "cloud-init",
  "dbus",
  "efibootmgr",
  "grub-efi-amd64-bin",
  "grub-efi-amd64-signed",
  "grub2-common",
  "initramfs-tools",
  "iproute2",
  "linux-image-cloud-amd64",
  "netplan.io",
  "openssh-server",
  "shim-signed",
  "systemd-sysv",
  "udev",
  "zstd",
];

/** Written into the root file system: its path and content. */
const FILES: Readonly<Record<string, string>> = {
  "/etc/hostname": "not-yet-provisioned\n",
  // The serial console is what an operator of a server without a screen sees. The list of security modules
  // leaves out bpf, which costs a minute at every boot of an emulated machine.
  "/etc/default/grub.d/50-console.cfg": [
    'GRUB_CMDLINE_LINUX="console=tty0 console=ttyS0,115200 lsm=lockdown,capability,yama,apparmor"',
    'GRUB_CMDLINE_LINUX_DEFAULT="transparent_hugepage=never audit=0"',
    "GRUB_TIMEOUT=0",
    "GRUB_DISABLE_OS_PROBER=true",
    "",
  ].join("\n"),
  "/etc/cloud/cloud.cfg.d/90-datasource.cfg": "datasource_list: [ NoCloud, None ]\n",
};

const UNUSED_UNITS = [
  "apt-daily.timer",
  "apt-daily-upgrade.timer",
  "dpkg-db-backup.timer",
  "e2scrub_all.timer",
  "e2scrub_reap.service",
  "fstrim.timer",
  "systemd-networkd-wait-online.service",
];

/** Makes the tarball of a Debian root file system, or finds the one made before from the same list. */
export async function buildDebianRoot(cache: string): Promise<string> {
  const recipe = JSON.stringify([SUITE, PACKAGES, FILES, UNUSED_UNITS, 1]);
  const key = new Bun.CryptoHasher("sha256").update(recipe).digest("hex").slice(0, 12);
  const path = join(cache, `debian-${SUITE}-root-${key}.tar.zst`);
  if (await Bun.file(path).exists()) return path;

  await mkdir(cache, { recursive: true });
  const work = join(cache, `debian-root-${process.pid}`);
  try {
    for (const [name, text] of Object.entries(FILES)) await Bun.write(join(work, name), text);
    const tarball = `${path}.${process.pid}.tar.zst`;
    await run([
      "mmdebstrap",
      "--quiet",
      "--variant=minbase",
      "--mode=root",
      `--include=${PACKAGES.join(",")}`,
      "--dpkgopt=force-unsafe-io",
      "--dpkgopt=path-exclude=/usr/share/doc/*",
      "--dpkgopt=path-exclude=/usr/share/man/*",
      "--dpkgopt=path-exclude=/usr/share/locale/*",
      '--aptopt=Apt::Install-Recommends "false"',
      `--customize-hook=copy-in ${work}/etc /`,
      `--customize-hook=chroot "$1" systemctl --quiet mask ${UNUSED_UNITS.join(" ")}`,
      '--customize-hook=: > "$1/etc/machine-id"',
      SUITE,
      tarball,
    ]);
    await rename(tarball, path);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return path;
}

async function run(argv: readonly string[]): Promise<void> {
  const child = Bun.spawn([...argv], { stdin: "ignore", stdout: "inherit", stderr: "inherit" });
  if ((await child.exited) !== 0) throw new Error(`${argv[0]} exited with ${child.exitCode}`);
}
