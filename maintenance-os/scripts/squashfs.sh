#!/bin/bash
# SPDX-License-Identifier: AGPL-3.0-or-later
# Usage: squashfs.sh ROOT IMAGES OUT, in a mount namespace of its own. Packs the base of the live system with
# the tool images inside. Files that a tool image shares with the base are stored once.
set -euo pipefail
root=$1 images=$2 out=$3
mount --bind "$images" "$root/usr/lib/prov/images"
mksquashfs "$root" "$out" -noappend -quiet -no-progress -comp zstd -Xcompression-level 15 -b 512K \
  -wildcards -e usr/lib/prov/boot 'dev/*' 'proc/*' 'run/*' 'sys/*' 'tmp/*' 'var/cache/*' 'var/log/*'
