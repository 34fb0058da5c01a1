#!/usr/bin/env bash
# A docker daemon as the first process of a process namespace of its own: whoever ends this process ends all that it
# started, and the kernel takes its network, its mounts and its containers away. It is started by
#   unshare --net --mount --pid --fork --mount-proc dockerd.sh STATE TOOLS
# STATE is where it keeps images (data/), its socket (docker.sock) and its log; TOOLS has docker, containerd and runc.
set -euo pipefail
state=$1 tools=$2
here=$(cd "$(dirname "$0")" && pwd)

mkdir -p "$state/data" "$state/modules"
# A runtime directory that goes with the namespace.
mount -t tmpfs tmpfs /run
# kind gives every node /lib/modules, which a machine without modules lacks: an overlay adds the empty directory.
if [ ! -e /lib/modules ]; then
  mount -t tmpfs tmpfs "$state/modules"
  mkdir "$state/modules/upper" "$state/modules/work"
  mount -t overlay overlay -o "lowerdir=/usr/lib,upperdir=$state/modules/upper,workdir=$state/modules/work" /usr/lib
  mkdir /lib/modules
fi
ip link set lo up
sysctl -qw net.ipv4.ip_forward=1
sysctl -qw net.ipv6.conf.all.forwarding=1 2>/dev/null || true

runtime=()
if ! "$here/has-sys-resource.sh"; then
  runtime=(--oom-score-adjust=0 --add-runtime "limited=$here/runc-limited.sh" --default-runtime limited)
fi

# Not exec: a shell as the first process reaps what its descendants leave behind.
RUNC=$tools/usr/sbin/runc PATH=$tools/usr/bin:$tools/usr/sbin:$PATH dockerd \
  --host "unix://$state/docker.sock" --data-root "$state/data" --exec-root /run/docker --pidfile /run/docker.pid \
  --storage-driver overlay2 --cgroup-parent /weft-kind --bip 172.17.0.1/16 "${runtime[@]}" &
daemon=$!
trap 'kill -TERM "$daemon"' TERM
# A trap ends the first wait early; the second waits until the daemon has stopped what runs.
wait "$daemon" || wait "$daemon"
