//! The one place where certificates meet sockets.
//!
//! A [`KeyedCertificate`] says who we are, [`Roots`] say whom we believe, and with [`Revocations`] whom no more. From them a [`ServerTls`] or a [`ClientTls`]
//! is made: one for each identity and purpose, replaced as a whole when a certificate is renewed, while connections
//! go on. Its configuration checks the chain of the peer's certificate; `accept` and `connect` then check, on every
//! connection and on resumed ones too, who the peer is ([`PeerTest`]) and that its certificate has not expired.
//! A caller cannot get at a stream without both checks.

mod certificate;
mod client;
mod client_verifier;
mod error;
pub mod grpc;
mod keys;
mod leaves;
mod peer;
mod provider;
mod request;
mod resolver;
mod revocations;
mod roots;
mod seen;
mod server;
mod session;
mod stream;
mod subject;
mod tickets;
mod verify;

pub use certificate::{PeerCertificate, Validity, peer_certificate, validity};
pub use client::{ClientSettings, ClientTls, server_name};
pub use error::{HandshakeError, PemError, TlsError};
pub use keys::KeyedCertificate;
pub use peer::{PeerTest, SanTest};
pub use request::CertificateRequest;
pub use resolver::CertificatesByName;
pub use revocations::Revocations;
pub use roots::Roots;
pub use rustls::pki_types::ServerName;
pub use server::{Certificates, ClientAuth, ServerSettings, ServerTls};
pub use session::{Session, Versions};
pub use stream::TlsStream;
