#!/bin/bash
# SPDX-License-Identifier: AGPL-3.0-or-later
# Usage: check-units.sh ROOT, in a mount namespace of its own. Lays rootfs/ over the base ROOT and lets its own
# Quadlet generator and systemd-analyze judge the units. Prints the units generated from the Quadlets.
set -euo pipefail
root=$1
here=$(dirname "$(realpath "$0")")/..
scratch=$(mktemp --directory)
trap 'cd / && umount --recursive "$scratch" && rmdir "$scratch"' EXIT
mount -t tmpfs check "$scratch"
mkdir "$scratch"/{upper,work,root}
mount -t overlay -o "lowerdir=$here/rootfs:$root,upperdir=$scratch/upper,workdir=$scratch/work" overlay "$scratch/root"
cd "$scratch/root"
mount -t proc proc proc
install --mode=0755 /dev/null usr/bin/prov

generator=/usr/libexec/podman/quadlet
chroot . "$generator" -dryrun
mkdir -p run/units
chroot . "$generator" /run/units
cp run/units/*.service etc/systemd/system/
# A misspelt setting is only said, not counted, by systemd-analyze; documentation is not in the image.
complaints=$(chroot . systemd-analyze verify --man=no --recursive-errors=one \
  provision-dispatcher.service install-linux.target provision-failed@partition.service.service \
  screen-journal.service var-lib-containers.mount 2>&1) || complaints="$complaints (and it failed)"
[ -z "$complaints" ] || { echo "$complaints" >&2; exit 1; }
