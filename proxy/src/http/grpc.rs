//! The status of a gRPC call, which HTTP does not see.

use mesh_http::{Fields, Known};

/// `grpc-status`, from the fields of an answer without a body or from the trailers.
pub(crate) fn status(fields: &Fields) -> Option<u32> {
    std::str::from_utf8(fields.get(Known::GrpcStatus)?).ok()?.parse().ok()
}

/// A status of gRPC's table: what is not in it counts as UNKNOWN, as clients take it.
pub(crate) fn known(status: u32) -> u32 {
    if status <= 16 { status } else { 2 }
}

/// The HTTP status that says about the same, for judging an endpoint (Envoy's table).
pub(super) fn as_http(status: u32) -> u16 {
    match status {
        0 => 200,
        1 => 499,
        3 | 9 | 11 => 400,
        4 => 504,
        5 => 404,
        6 | 10 => 409,
        7 => 403,
        8 => 429,
        12 => 501,
        14 => 503,
        16 => 401,
        _ => 500,
    }
}
