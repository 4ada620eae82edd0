#!/bin/bash
# SPDX-License-Identifier: AGPL-3.0-or-later
# Usage: initramfs.sh ROOT OUT. Packs a static busybox, the modules for reading the medium and init.
set -euo pipefail
root=$1 out=$2
here=$(dirname "$(realpath "$0")")/../initramfs
tree=$(mktemp --directory)
trap 'rm --recursive --force "$tree"' EXIT

mkdir -p "$tree"/{bin,dev,proc,sys,run,sysroot,lib/modules}
cp "$root/usr/lib/prov/boot/busybox" "$tree/bin/busybox"
install --mode=0755 "$here/init" "$tree/init"
kernel=$(basename "$root"/usr/lib/modules/*)
# modprobe names each module after what it depends on; "builtin" lines need no file.
grep '^[^#]' "$here/modules.txt" |
  xargs -I '{}' chroot "$root" modprobe --set-version="$kernel" --show-depends '{}' |
  awk '$1 == "insmod" && !seen[$2]++ { print $2 }' |
  while read -r module; do
    cp "$root$module" "$tree/lib/modules/"
    basename "$module"
  done >"$tree/lib/modules/order"

# The same bytes from the same input: fixed times and order, and cpio's own inode numbers.
find "$tree" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
(cd "$tree" && find . -print0 | LC_ALL=C sort --zero-terminated |
  cpio --null --create --format=newc --reproducible --owner=0:0 --quiet) | zstd --quiet -19 >"$out"
