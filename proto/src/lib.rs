//! Wire definitions of our own, compiled from the `.proto` files of this folder. The types of xDS come from the
//! crate `envoy-types` instead.

/// `istio.v1.auth`: the certificate service between a proxy and the certificate authority.
pub mod certificates {
    #![expect(missing_docs, reason = "generated; the .proto file has the words")]
    tonic::include_proto!("istio.v1.auth");
}

/// `weft.v1`: what the replicas of a control plane ask each other.
pub mod replicas {
    #![expect(missing_docs, reason = "generated; the .proto file has the words")]
    tonic::include_proto!("weft.v1");
}

pub mod envoy;
