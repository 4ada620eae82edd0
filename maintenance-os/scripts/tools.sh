#!/bin/bash
# SPDX-License-Identifier: AGPL-3.0-or-later
# Usage: tools.sh ROOT BASE TOOLS OUT, in a mount namespace of its own. Builds TOOLS/*/Containerfile on the
# tarball BASE with the podman of ROOT, and leaves a store in OUT that the live system reads in place.
set -euo pipefail
root=$1 base=$2 tools=$3 out=$4
scratch=$(mktemp --directory)
trap 'cd / && umount --lazy "$scratch" && rmdir "$scratch"' EXIT

# In RAM: an overlay's upper layers need a file system that is not an overlay itself.
mount -t tmpfs tools "$scratch"
mkdir "$scratch"/{upper,work,root,store}
mount -t overlay -o "lowerdir=$root,upperdir=$scratch/upper,workdir=$scratch/work" overlay "$scratch/root"
cd "$scratch/root"
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs run run
if mountpoint --quiet sys/fs/cgroup/unified; then umount sys/fs/cgroup/unified; fi
mkdir -p run/store run/tools etc/containers
mount --bind "$scratch/store" run/store
mount --bind "$tools" run/tools
cp "$base" tmp/base.tar
cp --dereference --remove-destination /etc/resolv.conf etc/resolv.conf
# A build host may lack the right to raise limits; what it has is enough.
cat >etc/containers/containers.conf <<EOF
[containers]
default_ulimits = ["nofile=$(ulimit -n):$(ulimit -n)", "nproc=$(ulimit -u):$(ulimit -u)"]
[engine]
events_logger = "none"
cgroup_manager = "cgroupfs"
EOF

podman() {
  PODMAN_IGNORE_CGROUPSV1_WARNING=1 chroot . podman --root=/run/store --runroot=/run/store-run --storage-driver=overlay "$@"
}
podman import --quiet /tmp/base.tar localhost/prov/debian:trixie >/dev/null
for containerfile in run/tools/*/Containerfile; do
  name=$(basename "$(dirname "$containerfile")")
  podman build --quiet --isolation=chroot --network=host --pull=never --timestamp="$SOURCE_DATE_EPOCH" \
    --build-arg=BASE=localhost/prov/debian:trixie --tag="localhost/prov/$name:1" "/run/tools/$name" >/dev/null
done
cd "$scratch/store"
rm --recursive --force db.sql libpod volumes networks secrets userns.lock defaultNetworkBackend ./*.lock
cp --archive . "$out"
