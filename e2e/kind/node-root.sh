#!/usr/bin/env bash
# Makes the root file system of a kind node: Debian, the files that kind's own node image has, and Kubernetes.
#   node-root.sh ROOT KIND_FILES KUBERNETES VERSION
# KIND_FILES is images/base/files of kind's module; KUBERNETES has kubelet, kubeadm and kubectl.
set -euo pipefail
root=$1 files=$2 kubernetes=$3 version=$4
here=$(cd "$(dirname "$0")" && pwd)

# Debian 12, whatever runs here: the newer systemd refuses machines with the first version of control groups.
debian=bookworm
packages=(systemd systemd-sysv containerd runc containernetworking-plugins conntrack iptables nftables iproute2 ethtool
  util-linux mount kmod libseccomp2 e2fsprogs bash ca-certificates jq procps curl)
debootstrap --variant=minbase --include="$(IFS=,; echo "${packages[*]}")" "$debian" "$root" >&2

# What kind's Dockerfile copies, where it copies it.
mkdir -p "$root"/kind/{bin,manifests} "$root"/etc/kubernetes/manifests "$root"/etc/cni/net.d "$root"/opt/cni/bin
install -m 755 "$files"/usr/local/bin/entrypoint "$root"/usr/local/bin/
install -m 755 "$files"/kind/bin/* "$root"/kind/bin/
(cd "$files" && find etc -type f -exec install -D -m 644 {} "$root"/{} \;)
ln -sf /usr/bin/containerd "$root"/usr/local/bin/containerd
cp "$root"/usr/lib/cni/{ptp,bridge,host-local,loopback,portmap} "$root"/opt/cni/bin/

# What it does to systemd: only what a node needs is started.
units=$root/lib/systemd/system
rm -f "$units"/sysinit.target.wants/systemd-tmpfiles-setup.service "$units"/multi-user.target.wants/* \
  "$root"/etc/systemd/system/*.wants/* "$units"/local-fs.target.wants/* "$units"/sockets.target.wants/*udev* \
  "$units"/sockets.target.wants/*initctl* "$units"/basic.target.wants/*
echo ReadKMsg=no >> "$root"/etc/systemd/journald.conf

# The pods' network.
install -m 755 "$here"/podnet.sh "$root"/usr/local/sbin/podnet
install -m 644 "$here"/podnet.service "$root"/etc/systemd/system/
install -m 644 "$here"/podnet-rbac.yaml "$root"/kind/manifests/default-cni.yaml
chroot "$root" systemctl --quiet enable kubelet containerd undo-mount-hacks podnet
chroot "$root" systemctl --quiet mask systemd-binfmt

# Kubernetes.
install -m 755 "$kubernetes"/{kubelet,kubeadm,kubectl} "$root"/usr/bin/
printf %s "$version" > "$root"/kind/version

# containerd: the pause image that kubeadm knows, and a runtime specification with kind's hook in it.
pause=$("$kubernetes"/kubeadm config images list --kubernetes-version "$version" 2>/dev/null | grep pause)
sed -i "s#sandbox_image = .*#sandbox_image = \"$pause\"#" "$root"/etc/containerd/config.toml
chroot "$root" sh -c 'ctr oci spec | jq "$1" > /etc/containerd/cri-base.json' sh \
  '.hooks.createContainer = [{path: "/kind/bin/mount-product-files.sh"}] | del(.process.rlimits)'
if ! "$here"/has-sys-resource.sh; then
  install -m 755 "$here"/runc-limited.sh "$root"/usr/local/sbin/runc
  sed -i 's/restrict_oom_score_adj = false/restrict_oom_score_adj = true/' "$root"/etc/containerd/config.toml
fi

rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale}
