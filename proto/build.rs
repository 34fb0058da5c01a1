//! Compiles the wire definitions of this folder.

fn main() {}
