//! Configuration enters here: a delta ADS client whose wire types end at [`decode`] and whose result is
//! [`Config`], the one handle through which the rest of the proxy reads and asks for configuration.
//!
//! ```text
//! control plane ─ stream ─▶ client ─▶ decode ─▶ state ─▶ Snapshot ─▶ Config::current
//!                            ▲                                        │ a first use
//!                            └────────── subscribe ◀── demand ◀───────┘
//! ```

#[expect(dead_code, reason = "the client enters here")]
mod config;
#[expect(dead_code, reason = "the client enters here")]
mod demand;

pub use config::{Config, Reader, Refusal, Status};
pub use demand::{DemandError, DemandKey};
