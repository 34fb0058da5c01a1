//! Compiles the wire definitions of this folder, without protoc, and tells what Envoy's messages look like.

mod envoy;

use anyhow::Result;

const SOURCES: [&str; 2] = ["istio/v1/auth/certificates.proto", "weft/v1/replicas.proto"];

fn main() -> Result<()> {
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
    }
    let descriptors = protox::compile(SOURCES, ["."])?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    envoy::write_table()
}
