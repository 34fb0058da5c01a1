//! What stock Envoy is told at its start.

use std::net::SocketAddr;
use std::path::Path;

/// A bootstrap of a node (YAML) that is driven by delta ADS and has its own certificate from the agent on a socket, as
/// Istio's has, with an admin port on loopback.
pub(crate) fn bootstrap(node: &str, discovery: SocketAddr, agent: &Path, admin: u16) -> String {
    let http2 = "
      connect_timeout: 2s
      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          '@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
          explicit_http_config: {http2_protocol_options: {}}";
    format!(
        "
node: {node}
admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {admin}}}}}}}
dynamic_resources:
  ads_config:
    api_type: DELTA_GRPC
    transport_api_version: V3
    grpc_services: [{{envoy_grpc: {{cluster_name: xds}}}}]
  cds_config: {{ads: {{}}, resource_api_version: V3}}
  lds_config: {{ads: {{}}, resource_api_version: V3}}
static_resources:
  clusters:
    - name: xds
      type: STATIC{http2}
      load_assignment:
        cluster_name: xds
        endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: {}, port_value: {}}}}}}}}}]}}]
    - name: sds-grpc
      type: STATIC{http2}
      load_assignment:
        cluster_name: sds-grpc
        endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{pipe: {{path: {}}}}}}}}}]}}]
",
        discovery.ip(),
        discovery.port(),
        agent.display()
    )
}
