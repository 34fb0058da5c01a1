//! Compiles the wire definitions of this folder, without protoc.

use std::error::Error;

const SOURCES: [&str; 2] = ["istio/v1/auth/certificates.proto", "weft/v1/replicas.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
    }
    let descriptors = protox::compile(SOURCES, ["."])?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
