//! The shop: services that know nothing of a mesh. They call each other by name over plain HTTP and pass on the
//! headers that tracing needs, as any well-behaved service does.

pub(crate) mod grpc;
mod service;

use std::net::SocketAddr;

use clap::{Args, ValueEnum};

pub use service::serve;

/// The port on which every service of the shop listens.
pub const PORT: u16 = 9080;
/// The port on which it answers gRPC.
pub const GRPC_PORT: u16 = 9090;

/// What a process of the shop is told.
#[derive(Args, Clone, Debug)]
pub struct Shop {
    /// Which service to be.
    #[arg(value_enum)]
    pub role: Role,
    /// Its version, in every answer.
    #[arg(long, default_value = "v1")]
    pub version: String,
    /// Where to answer gRPC.
    #[arg(long, default_value = "[::]:9090")]
    pub grpc_listen: SocketAddr,
    /// Its pod, in every answer.
    #[arg(long, default_value = "")]
    pub pod: String,
    /// Where to listen.
    #[arg(long, default_value = "[::]:9080")]
    pub listen: SocketAddr,
}

/// The services of the shop.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Answers `/productpage` from details and reviews.
    Productpage,
    /// Answers `/details/<id>`.
    Details,
    /// Answers `/reviews/<id>`; from version 2 on with stars from ratings.
    Reviews,
    /// Answers `/ratings/<id>`.
    Ratings,
    /// Answers `/members/<id>`, and `/actuator/health` as a service of Spring Boot does.
    #[value(name = "membership-service")]
    Membership,
}

impl Role {
    /// The service's name, which is also its host name in the mesh.
    pub fn name(self) -> &'static str {
        match self {
            Self::Productpage => "productpage",
            Self::Details => "details",
            Self::Reviews => "reviews",
            Self::Ratings => "ratings",
            Self::Membership => "membership-service",
        }
    }
}
