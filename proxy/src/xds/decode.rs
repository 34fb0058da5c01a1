//! Wire types end here: Envoy's resources become the model, whole or not at all.
//!
//! What is read is taken out of the message; whatever is left must be what an empty message has. So a field that nobody
//! here knows cannot be ignored in silence: the resource is refused with the field's name.

mod cluster;
mod endpoint;
mod http;
mod listener;
mod matcher;
mod rbac;
mod route;
mod tls;

use std::fmt::{self, Debug};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::google::protobuf as pb;
use prost::Message;

pub(super) use cluster::cluster;
pub(super) use endpoint::endpoints;
pub(super) use listener::listener;
pub(super) use route::{route_config, virtual_host};
pub(super) use tls::secret_resource as secret;

/// Why a resource cannot be honoured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Invalid {
    path: String,
    reason: String,
}

type Result<T> = std::result::Result<T, Invalid>;

impl Invalid {
    fn new(reason: impl Into<String>) -> Self {
        Self { path: String::new(), reason: reason.into() }
    }
}

impl fmt::Display for Invalid {
    /// `filter_chains[0].filters[1]: …`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { f.write_str(&self.reason) } else { write!(f, "{}: {}", self.path, self.reason) }
    }
}

/// Says where an error stands.
trait At<T> {
    /// In this field.
    fn at(self, field: &str) -> Result<T>;
}

impl<T> At<T> for Result<T> {
    fn at(self, field: &str) -> Result<T> {
        self.map_err(|error| {
            let dot = if error.path.is_empty() || error.path.starts_with('[') { "" } else { "." };
            Invalid { path: format!("{field}{dot}{}", error.path), ..error }
        })
    }
}

/// Reads every element, with its index in errors.
fn each<T, U>(items: Vec<T>, field: &str, read: impl Fn(T) -> Result<U>) -> Result<Vec<U>> {
    let read = |(index, item)| read(item).at(&format!("{field}[{index}]"));
    items.into_iter().enumerate().map(read).collect()
}

/// A field that must be set.
fn required<T>(value: Option<T>, field: &str) -> Result<T> {
    value.ok_or_else(|| Invalid::new("must be set")).at(field)
}

/// Refuses a message of which something is left.
fn nothing_else<T: Default + PartialEq + Debug>(rest: &T) -> Result<()> {
    if *rest == T::default() {
        return Ok(());
    }
    let (found, empty) = (format!("{rest:#?}"), format!("{:#?}", T::default()));
    let depth_one = |text: &str| -> Vec<String> {
        text.lines().filter(|line| line.starts_with("    ") && !line.starts_with("     ")).map(str::to_owned).collect()
    };
    let empty = depth_one(&empty);
    let differs = depth_one(&found).into_iter().find(|line| !empty.contains(line)).unwrap_or_default();
    let field = differs.trim().split(':').next().unwrap_or_default().trim_start_matches("r#").to_owned();
    Err(Invalid { path: field, reason: "is not supported".to_owned() })
}

/// The message in an `Any` of this type.
fn unpack<M: Message + Default>(any: &pb::Any, type_name: &str) -> Result<M> {
    let found = any.type_url.rsplit('/').next().unwrap_or_default();
    if found != type_name {
        return Err(Invalid::new(format!("is a {found}, where only {type_name} is supported")));
    }
    M::decode(any.value.as_slice()).map_err(|error| Invalid::new(format!("does not parse: {error}")))
}

fn type_name(any: &pb::Any) -> &str {
    any.type_url.rsplit('/').next().unwrap_or_default()
}

fn duration(value: pb::Duration) -> Result<Duration> {
    let parts =
        u64::try_from(value.seconds).ok().zip(u32::try_from(value.nanos).ok().filter(|nanos| *nanos < 1_000_000_000));
    parts
        .map(|(seconds, nanos)| Duration::new(seconds, nanos))
        .ok_or_else(|| Invalid::new("is no duration from zero up"))
}

/// A duration of which zero means none.
fn limit(value: Option<pb::Duration>, field: &str) -> Result<Option<Duration>> {
    Ok(value.map(duration).transpose().at(field)?.filter(|duration| !duration.is_zero()))
}

/// IP address and port; IPv4 compatibility flags make no difference to us.
fn socket_address(address: Option<core::Address>) -> Result<SocketAddr> {
    let (host, port) = host_and_port(address)?;
    let ip: IpAddr = host.parse().map_err(|_| Invalid::new(format!("{host:?} is no IP address")))?;
    Ok(SocketAddr::new(ip, port))
}

fn host_and_port(address: Option<core::Address>) -> Result<(String, u16)> {
    let address = required(address.and_then(|address| address.address), "address")?;
    let core::address::Address::SocketAddress(mut socket) = address else {
        return Err(Invalid::new("only socket addresses are supported"));
    };
    socket.ipv4_compat = false;
    let host = std::mem::take(&mut socket.address);
    let port = match socket.port_specifier.take() {
        Some(core::socket_address::PortSpecifier::PortValue(port)) => u16::try_from(port).ok(),
        None => Some(0),
        _ => None,
    };
    nothing_else(&socket)?;
    Ok((host, port.ok_or_else(|| Invalid::new("needs a port below 65536"))?))
}

fn regex(pattern: &str) -> Result<regex::bytes::Regex> {
    regex::bytes::RegexBuilder::new(pattern).size_limit(1 << 20).build().map_err(|error| {
        Invalid::new(format!("{pattern:?} is no regular expression: {}", first_line(&error.to_string())))
    })
}

fn first_line(text: &str) -> String {
    text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default().to_owned()
}

/// A regular expression that must match the whole text.
fn whole(pattern: &str) -> Result<regex::bytes::Regex> {
    regex(&format!("^(?:{pattern})$"))
}

/// A string in a `Struct`, by its path.
fn text_in<'a>(metadata: Option<&'a core::Metadata>, filter: &str, key: &str) -> Option<&'a str> {
    use pb::value::Kind;
    match metadata?.filter_metadata.get(filter)?.fields.get(key)?.kind.as_ref()? {
        Kind::StringValue(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use envoy_types::pb::envoy::config::cluster::v3::Cluster;

    #[test]
    fn what_is_left_is_named() {
        let rest = Cluster { alt_stat_name: "x".into(), ..Cluster::default() };
        assert_eq!(nothing_else(&rest).unwrap_err().to_string(), "alt_stat_name: is not supported");
        assert_eq!(
            nothing_else(&rest).at("clusters[1]").unwrap_err().to_string(),
            "clusters[1].alt_stat_name: is not supported"
        );
        assert!(nothing_else(&Cluster::default()).is_ok());
    }
}
