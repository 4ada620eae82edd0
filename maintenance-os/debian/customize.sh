#!/bin/bash
# SPDX-License-Identifier: AGPL-3.0-or-later
# mmdebstrap's last hook: turns a fresh Debian root into the base of the live system.
# Usage: customize.sh ROOT, with MAINTENANCE_OS naming the folder that this project keeps it in.
set -euo pipefail
root=$1

# Extracted, not installed: their maintainer scripts would build an initramfs and look for an ESP.
mkdir "$root/tmp/boot"
# shellcheck disable=SC2016 # expanded in the chroot
chroot "$root" sh -euc '
  cd /tmp/boot
  kernel=$(apt-cache depends linux-image-amd64 | sed -n "s/^ *Depends: //p" | head -n 1)
  apt-get download --quiet --quiet --option APT::Sandbox::User=root \
    "$kernel" shim-signed grub-efi-amd64-signed busybox-static
'
for package in "$root"/tmp/boot/*.deb; do dpkg-deb --extract "$package" "$root/tmp/boot"; done
mkdir -p "$root/usr/lib/prov/boot" "$root/usr/lib/prov/images" "$root/usr/lib/modules"
cd "$root/tmp/boot"
cp boot/vmlinuz-* "$root/usr/lib/prov/boot/vmlinuz"
cp usr/lib/shim/shimx64.efi.signed "$root/usr/lib/prov/boot/shimx64.efi"
cp usr/lib/grub/x86_64-efi-signed/gcdx64.efi.signed "$root/usr/lib/prov/boot/grubx64.efi"
cp usr/bin/busybox "$root/usr/lib/prov/boot/busybox"
mv usr/lib/modules/* "$root/usr/lib/modules/" 2>/dev/null || mv lib/modules/* "$root/usr/lib/modules/"
cd /
rm -r "$root/tmp/boot"

"$MAINTENANCE_OS/scripts/prune-modules.sh" "$root" "$MAINTENANCE_OS/kernel-modules.txt"

install -D --mode=0644 --target-directory="$root/usr/lib/systemd/system-preset" \
  "$MAINTENANCE_OS/rootfs/usr/lib/systemd/system-preset/00-maintenance-os.preset"
chroot "$root" systemctl --quiet preset-all
grep --only-matching '^[^#]\+' "$MAINTENANCE_OS/masked-units.txt" |
  xargs chroot "$root" systemctl --quiet mask

chroot "$root" passwd --quiet --lock root
ln --symbolic --force ../run/systemd/resolve/resolv.conf "$root/etc/resolv.conf"
echo maintenance-os >"$root/etc/hostname"
: >"$root/etc/fstab"
# Empty, not "uninitialized": systemd then makes an id for this boot and applies no presets.
: >"$root/etc/machine-id"
rm --force "$root/var/lib/dbus/machine-id"
# What is not newer than these needs no update at boot.
touch "$root/etc/.updated" "$root/var/.updated"
