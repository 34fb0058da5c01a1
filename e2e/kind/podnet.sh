#!/usr/bin/env bash
# The pods' network of a node, in place of kindnet, whose image cannot be had without a registry: a point-to-point link
# per pod, a route to every other node's pods, and masquerading of what leaves the pods' network.
set -euo pipefail
node=$(hostname)
config=/etc/cni/net.d/10-podnet.conflist
credentials=/etc/kubernetes/kubelet.conf
pods=10.244.0.0/16
node_line='{.metadata.name} {.spec.podCIDR} {.status.addresses[?(@.type=="InternalIP")].address}{"\n"}'

# A line for every node, and one more whenever a node changes.
watch_nodes() {
  kubectl --kubeconfig "$credentials" get nodes --watch --output jsonpath="$node_line" 2>/dev/null || true
}

# A pod that starts before kube-proxy knows the API's address waits half a minute for a dial to time out.
wait_for_kube_proxy() {
  for _ in $(seq 120); do
    if iptables-save -t nat 2>/dev/null | grep -q 'default/kubernetes:https cluster IP'; then return; fi
    sleep 0.25
  done
}

masquerade() {
  local rule=(POSTROUTING -s "$pods" ! -d "$pods" -j MASQUERADE)
  iptables -t nat -C "${rule[@]}" 2>/dev/null || iptables -t nat -A "${rule[@]}"
}

write_config() {
  cat > "$config.part" <<JSON
{"cniVersion": "0.4.0", "name": "podnet", "plugins": [
  {"type": "ptp", "ipMasq": false, "ipam": {"type": "host-local", "dataDir": "/run/podnet",
    "routes": [{"dst": "0.0.0.0/0"}], "ranges": [[{"subnet": "$1"}]]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
JSON
  mv "$config.part" "$config"
}

until [ -f "$credentials" ]; do sleep 0.5; done
while true; do
  while read -r name subnet address; do
    # A node that has no address yet is told again once it has.
    [ -n "$address" ] || continue
    if [ "$name" != "$node" ]; then
      ip route replace "$subnet" via "$address"
    elif [ ! -f "$config" ]; then
      wait_for_kube_proxy
      masquerade
      write_config "$subnet"
    fi
  done < <(watch_nodes)
  # The API server is not there yet, or ended the watch.
  sleep 2
done
