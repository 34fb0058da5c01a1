//! What is added to a pod, before the pod's own wishes about it are merged in.

mod env;
mod init;
mod metadata;
mod proxy;
mod volumes;

use std::str::FromStr;

pub(crate) use init::container as init_container;
pub(crate) use metadata::apply as apply_metadata;
pub(crate) use proxy::{USER, container as proxy_container};
pub(crate) use volumes::of_pod as volumes;

/// The templates: a proxy beside an application, or a proxy that is the application.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Template {
    #[default]
    Sidecar,
    Gateway,
}

impl FromStr for Template {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name.trim() {
            "sidecar" => Ok(Self::Sidecar),
            "gateway" => Ok(Self::Gateway),
            "" => Err("names no template; the templates are sidecar and gateway".to_owned()),
            several if several.contains(',') => {
                Err(format!("{several:?}: one template at a time is served, sidecar or gateway"))
            }
            other => Err(format!("the template {other:?} is not served; the templates are sidecar and gateway")),
        }
    }
}
