//! The table by which `weft_proto::envoy` reads messages of Envoy's: names, numbers and types of their fields, from the
//! descriptors that the crate `envoy-types` brings beside the types that it generates from them.
//!
//! It is text, for it is short and has no pointers that a program would have to relocate. `message NAME` begins a message,
//! with a line for each field: `NUMBER NAME TYPE`, where TYPE is the number that protobuf's descriptors have for it, then
//! `*` if the field is repeated or `%` if it is a map, and for a message or an enumeration which one, counted from zero.
//! `enum NAME` begins an enumeration, with a line for each value: `NUMBER NAME`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet};

/// What the control plane sends, and what stands in it as a message of any type.
const ROOTS: [&str; 24] = [
    "envoy.config.cluster.v3.Cluster",
    "envoy.config.endpoint.v3.ClusterLoadAssignment",
    "envoy.config.listener.v3.Listener",
    "envoy.config.route.v3.RouteConfiguration",
    "envoy.extensions.access_loggers.file.v3.FileAccessLog",
    "envoy.extensions.filters.http.cors.v3.Cors",
    "envoy.extensions.filters.http.cors.v3.CorsPolicy",
    "envoy.extensions.filters.http.fault.v3.HTTPFault",
    "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig",
    "envoy.extensions.filters.http.rbac.v3.RBAC",
    "envoy.extensions.filters.http.router.v3.Router",
    "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector",
    "envoy.extensions.filters.listener.original_dst.v3.OriginalDst",
    "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
    "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    "envoy.extensions.filters.network.rbac.v3.RBAC",
    "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
    "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
    "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport",
    "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer",
    "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
    "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
];

/// Writes the table where `include_str!` of the crate finds it.
pub(crate) fn write_table() -> Result<()> {
    let descriptors = descriptors()?;
    println!("cargo::rerun-if-changed={}", descriptors.display());
    let bytes = std::fs::read(&descriptors).with_context(|| descriptors.display().to_string())?;
    let known = Known::new(FileDescriptorSet::decode(&*bytes)?);
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    Ok(std::fs::write(out.join("envoy.table"), table(&known)?)?)
}

/// The file of descriptors in the sources of `envoy-types`, which only cargo knows the place of.
fn descriptors() -> Result<PathBuf> {
    let (cargo, target) = (std::env::var("CARGO")?, std::env::var("TARGET")?);
    let metadata = Command::new(cargo)
        .args(["metadata", "--locked", "--format-version=1", "--filter-platform", &target])
        .output()?;
    ensure!(metadata.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout)?;
    let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;
    let manifests: Vec<&str> = packages
        .iter()
        .filter(|package| package["name"] == "envoy-types")
        .filter_map(|package| package["manifest_path"].as_str())
        .collect();
    let [manifest] = manifests[..] else { bail!("of envoy-types one is expected, not {manifests:?}") };
    Ok(Path::new(manifest).with_file_name("src/generated/types.bin"))
}

/// Every message and enumeration by its full name, with the dot in front by which fields refer to it.
#[derive(Default)]
struct Known {
    messages: BTreeMap<String, DescriptorProto>,
    enums: BTreeMap<String, EnumDescriptorProto>,
}

impl Known {
    fn new(set: FileDescriptorSet) -> Self {
        let mut known = Self::default();
        for file in set.file {
            let package = format!(".{}", file.package());
            file.message_type.into_iter().for_each(|message| known.add_message(&package, message));
            file.enum_type.into_iter().for_each(|one| known.add_enum(&package, one));
        }
        known
    }

    fn add_message(&mut self, within: &str, mut message: DescriptorProto) {
        let name = format!("{within}.{}", message.name());
        std::mem::take(&mut message.nested_type).into_iter().for_each(|inner| self.add_message(&name, inner));
        std::mem::take(&mut message.enum_type).into_iter().for_each(|inner| self.add_enum(&name, inner));
        self.messages.insert(name, message);
    }

    fn add_enum(&mut self, within: &str, one: EnumDescriptorProto) {
        self.enums.insert(format!("{within}.{}", one.name()), one);
    }

    fn message(&self, name: &str) -> Result<&DescriptorProto> {
        self.messages.get(name).with_context(|| format!("envoy-types does not know {name}"))
    }

    /// The roots and all that they lead to.
    fn reachable(&self) -> Result<(BTreeSet<&str>, BTreeSet<&str>)> {
        let (mut messages, mut enums) = (BTreeSet::new(), BTreeSet::new());
        let roots: Vec<String> = ROOTS.iter().map(|root| format!(".{root}")).collect();
        let mut open: Vec<&str> = Vec::new();
        for root in &roots {
            open.push(
                self.messages.get_key_value(root).with_context(|| format!("envoy-types does not know {root}"))?.0,
            );
        }
        while let Some(name) = open.pop() {
            if !messages.insert(name) {
                continue;
            }
            for field in &self.message(name)?.field {
                match field.r#type() {
                    Type::Message => open.push(field.type_name()),
                    Type::Enum => drop(enums.insert(field.type_name())),
                    _ => {}
                }
            }
        }
        Ok((messages, enums))
    }
}

fn table(known: &Known) -> Result<String> {
    let (messages, enums) = known.reachable()?;
    let place = |of: &BTreeSet<&str>, name: &str| of.range(..name).count();
    let mut text = String::new();
    for name in &messages {
        writeln!(text, "message {}", name.trim_start_matches('.'))?;
        for field in &known.message(name)?.field {
            let (kind, label) = (field.r#type(), label(known, field)?);
            write!(text, "{} {} {}{label}", field.number(), field.name(), kind as i32)?;
            match kind {
                Type::Message => writeln!(text, " {}", place(&messages, field.type_name()))?,
                Type::Enum => writeln!(text, " {}", place(&enums, field.type_name()))?,
                _ => writeln!(text)?,
            }
        }
    }
    for name in &enums {
        writeln!(text, "enum {}", name.trim_start_matches('.'))?;
        for value in known.enums.get(*name).into_iter().flat_map(|one| &one.value) {
            writeln!(text, "{} {}", value.number(), value.name())?;
        }
    }
    Ok(text)
}

/// The sign behind a field's type.
fn label(known: &Known, field: &FieldDescriptorProto) -> Result<&'static str> {
    if field.label() != Label::Repeated {
        return Ok("");
    }
    let is_map = field.r#type() == Type::Message
        && known.message(field.type_name())?.options.as_ref().is_some_and(|options| options.map_entry());
    Ok(if is_map { "%" } else { "*" })
}
