#!/usr/bin/env bash
# Makes Debian for a kind node: DIRECTORY/debian.tar, with every package that kind's own node image has and we need.
#   node-debian.sh DIRECTORY
set -euo pipefail
root=$1/root

# Debian 12, whatever runs here: the newer systemd refuses machines with the first version of control groups.
debian=bookworm
packages=(systemd systemd-sysv containerd runc containernetworking-plugins conntrack iptables nftables iproute2 ethtool
  util-linux mount kmod libseccomp2 e2fsprogs bash ca-certificates jq procps curl)
debootstrap --variant=minbase --include="$(IFS=,; echo "${packages[*]}")" "$debian" "$root"
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale}
tar --directory "$root" --numeric-owner --create --file "$1/debian.tar" .
rm -rf "$root"
