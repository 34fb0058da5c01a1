#!/usr/bin/env bash
# Puts image archives, unpacked, into the store of a node's containerd, so that a node starts without an import.
#   node-images.sh ROOT TOOLS ARCHIVE...
# Run it in a process and a mount namespace of its own, so that containerd and what it mounts go with it.
set -euo pipefail
root=$1 tools=$2
shift 2
PATH=$tools/usr/bin:$tools/usr/sbin:$PATH
mount -t tmpfs tmpfs /run

cat > /run/containerd.toml <<TOML
version = 2
root = "$root/var/lib/containerd"
state = "/run/containerd"
oom_score = 0
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "/run/containerd.sock"
TOML
rm -rf "$root"/var/lib/containerd
containerd --config /run/containerd.toml > /run/containerd.log 2>&1 &
daemon=$!
store() { ctr --address /run/containerd.sock --namespace k8s.io "$@"; }
for _ in $(seq 100); do
  if store version > /dev/null 2>&1; then break; fi
  kill -0 "$daemon" 2> /dev/null || { cat /run/containerd.log >&2; exit 1; }
  sleep 0.1
done

for archive in "$@"; do
  store images import --all-platforms "$archive" > /dev/null
done
[ "$(store images list --quiet | wc -l)" -ge $# ]

# The packed layers have done their work: manifests are a few kilobytes, layers are not.
blobs=$root/var/lib/containerd/io.containerd.content.v1.content/blobs/sha256
find "$blobs" -type f -size +100k -printf '%f\n' | while read -r digest; do
  store content rm "sha256:$digest" > /dev/null
done
kill "$daemon"
wait "$daemon" || true
