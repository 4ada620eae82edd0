#!/bin/bash
# SPDX-License-Identifier: AGPL-3.0-or-later
# Usage: iso.sh BOOT INITRAMFS BASE PROV BUILD_ID OUT. Puts the parts into an ISO that UEFI firmware starts
# from a CD or a USB device: the signed shim, its GRUB, the kernel, and the two halves of the live system.
# The kernel of the build host needs to know neither FAT nor ISO 9660.
set -euo pipefail
boot=$1 initramfs=$2 base=$3 prov=$4 build_id=$5 out=$6
here=$(dirname "$(realpath "$0")")/../boot
work=$(mktemp --directory)
trap 'rm --recursive --force "$work"' EXIT
mkdir -p "$work"/iso/{boot/grub,live} "$work/esp"

cp "$boot/vmlinuz" "$work/iso/boot/vmlinuz"
cp "$initramfs" "$work/iso/boot/initrd.img"
sed "s/@BUILD_ID@/$build_id/" "$here/grub.cfg" >"$work/iso/boot/grub/grub.cfg"
echo "$build_id" >"$work/iso/live/build-id"
# Links, because the parts are large.
ln --symbolic "$base" "$work/iso/live/base.squashfs"
ln --symbolic "$prov" "$work/iso/live/prov.squashfs"
# Where the controller lays a task over the ISO when the server has one slot only. xorriso stores every
# file in one piece, and the controller finds the place in the directory.
truncate --size=16M "$work/iso/task.img"

cp "$boot/shimx64.efi" "$work/esp/BOOTX64.EFI"
cp "$boot/grubx64.efi" "$work/esp/grubx64.efi"
cp "$here/esp.cfg" "$work/esp/grub.cfg"
touch --date="@$SOURCE_DATE_EPOCH" "$work"/esp/*
esp=$work/esp.img
truncate --size=4M "$esp"
mformat -i "$esp" -v ESP -N 50524f56 -T 8192 -h 2 -s 32 ::
mmd -i "$esp" ::/EFI ::/EFI/BOOT ::/boot ::/boot/grub
mcopy -m -i "$esp" "$work"/esp/* ::/EFI/BOOT
# From a CD, Debian's GRUB for removable media reads /boot/grub of the ISO; from a USB device, that of the ESP.
mcopy -m -i "$esp" "$work/esp/grub.cfg" ::/boot/grub

stamp=$(date --utc --date="@$SOURCE_DATE_EPOCH" +%Y%m%d%H%M%S00)
xorriso -as mkisofs -quiet -iso-level 3 -rational-rock -joliet -follow-links -volid PROV_MAINT \
  --modification-date="$stamp" --set_all_file_dates "=$SOURCE_DATE_EPOCH" --gpt_disk_guid modification-date \
  -partition_offset 16 -append_partition 2 0xef "$esp" -appended_part_as_gpt \
  -e --interval:appended_partition_2:all:: -no-emul-boot -output "$out" "$work/iso"
