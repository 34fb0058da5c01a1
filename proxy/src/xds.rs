//! Configuration enters here: a delta ADS client whose wire types end at `decode` and whose result is
//! [`Config`], the one handle through which the rest of the proxy reads and asks for configuration.
//!
//! ```text
//! control plane ─ stream ─▶ client ─▶ decode ─▶ state ─▶ Snapshot ─▶ Config::current
//!                            ▲                                        │ a first use
//!                            └────────── subscribe ◀── demand ◀───────┘
//! ```

mod asked;
mod client;
mod config;
mod decode;
mod demand;
mod node;
mod state;

pub use client::start;
pub use config::{Config, Reader, Refusal, Status};
pub use demand::{DemandError, DemandKey};
pub(crate) use state::State;
