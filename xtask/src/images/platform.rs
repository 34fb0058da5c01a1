//! This machine's architecture, by the names that different people gave it.

/// As Rust names what we build for.
pub(crate) const fn rust() -> &'static str {
    if cfg!(target_arch = "aarch64") { "aarch64-unknown-linux-gnu" } else { "x86_64-unknown-linux-gnu" }
}

/// As images name it.
pub(crate) const fn oci() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}
