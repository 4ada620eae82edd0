#!/bin/bash
# SPDX-License-Identifier: AGPL-3.0-or-later
# Usage: prune-modules.sh ROOT LIST. Leaves the kernel modules that LIST names and what they depend on,
# uncompressed: the squashfs compresses them better than one by one, and loading them costs less.
set -euo pipefail
modules=$(echo "$1"/usr/lib/modules/*)
cd "$modules"
find . -name '*.ko.xz' -exec xz --decompress {} +
chroot "$1" depmod "${modules##*/}"

keep=$(mktemp)
trap 'rm --force "$keep"' EXIT
while read -r pattern; do
  # Names come and go with kernel versions, and some drivers are built in: worth a word, not the build.
  if found=$(compgen -G "kernel/$pattern"); then
    echo "$found" | xargs -I '{}' find '{}' -name '*.ko'
  else
    echo "no kernel module matches $pattern" >&2
  fi
done < <(grep '^[^#]' "$2") >"$keep"
# modules.dep: "path.ko: dependency.ko ...", complete for each module.
awk -F ':' 'NR == FNR { keep[$0]; next } $1 in keep { print $1 $2 }' "$keep" modules.dep |
  tr ' ' '\n' | sort --unique >"$keep.closure"
find kernel -name '*.ko' | grep --invert-match --line-regexp --fixed-strings --file="$keep.closure" |
  xargs rm --force
rm "$keep.closure"
find kernel -type d -empty -delete
chroot "$1" depmod "${modules##*/}"
