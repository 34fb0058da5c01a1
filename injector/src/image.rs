//! Which image the proxy is.

use mesh_types::Labels;

use crate::annotations::{PROXY_IMAGE, PROXY_IMAGE_TYPE};
use crate::proxy_config::ProxyConfig;
use crate::settings::values::Global;

/// The image of a container that the injector shall fill in.
pub(crate) const AUTO: &str = "auto";
/// Kinds of images, as suffixes of tags.
const TYPES: &[&str] = &["distroless", "debug"];

/// The proxy's image: a whole reference from the annotation or the values, or else `<hub>/<name>:<tag>[-<type>]`, with
/// the type of the annotation, of `ProxyConfig`, or of the chart's variant.
pub(crate) fn of_proxy(global: &Global, config: &ProxyConfig, annotations: &Labels) -> String {
    let name = annotations.get(PROXY_IMAGE).filter(|name| !name.is_empty()).unwrap_or(&global.proxy.image);
    let asked = [annotations.get(PROXY_IMAGE_TYPE).map_or("", String::as_str), config.image_type(), &global.variant];
    let image_type = asked.into_iter().find(|image_type| !image_type.is_empty()).unwrap_or_default();
    reference(global, name, image_type)
}

/// The image of `istio-init`: its own from the values, or the proxy's.
pub(crate) fn of_init(global: &Global, proxy: &str) -> String {
    match global.init.image.as_str() {
        "" => proxy.to_owned(),
        name if name == global.proxy.image => proxy.to_owned(),
        name => reference(global, name, &global.variant),
    }
}

fn reference(global: &Global, name: &str, image_type: &str) -> String {
    if name.contains(['/', ':', '@']) {
        return name.to_owned();
    }
    let tag = match image_type {
        "" => global.tag.clone(),
        "default" => plain(&global.tag).to_owned(),
        image_type => format!("{}-{image_type}", plain(&global.tag)),
    };
    format!("{}/{name}:{tag}", global.hub)
}

/// A tag without the type that it may carry already.
fn plain(tag: &str) -> &str {
    let without = |image_type: &&str| tag.strip_suffix(image_type).and_then(|tag| tag.strip_suffix('-'));
    TYPES.iter().find_map(without).unwrap_or(tag)
}

/// # Errors
/// If there is no such type.
pub(crate) fn check_type(image_type: &str) -> Result<(), String> {
    if image_type.is_empty() || image_type == "default" || TYPES.contains(&image_type) {
        return Ok(());
    }
    Err(format!("{image_type:?} is none of default, distroless, debug"))
}

/// # Errors
/// If it is no reference of an image that the API server would take.
pub(crate) fn check_reference(image: &str) -> Result<(), String> {
    let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b':' | b'@' | b'.' | b'-' | b'_');
    if !image.is_empty() && image.bytes().all(valid) { Ok(()) } else { Err(format!("{image:?} is no image")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::values::Values;

    #[test]
    fn images_follow_hub_tag_and_type() {
        let of = |image: &str, annotated: &str, image_type: &str, tag: &str, variant: &str| {
            let mut global = Values::default().global;
            global.hub = "hub.example/mesh".to_owned();
            (global.tag, global.variant, global.proxy.image) = (tag.to_owned(), variant.to_owned(), image.to_owned());
            let annotations = [(PROXY_IMAGE, annotated), (PROXY_IMAGE_TYPE, image_type)];
            let annotations = annotations.into_iter().filter(|(_, value)| !value.is_empty());
            let annotations = annotations.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            of_proxy(&global, &ProxyConfig::default(), &annotations)
        };
        assert_eq!(of("proxyv2", "", "", "1.2", ""), "hub.example/mesh/proxyv2:1.2");
        assert_eq!(of("proxyv2", "", "", "1.2", "distroless"), "hub.example/mesh/proxyv2:1.2-distroless");
        assert_eq!(of("proxyv2", "", "debug", "1.2", "distroless"), "hub.example/mesh/proxyv2:1.2-debug");
        assert_eq!(of("proxyv2", "", "default", "1.2-debug", ""), "hub.example/mesh/proxyv2:1.2");
        assert_eq!(of("proxyv2", "", "distroless", "1.2-debug", ""), "hub.example/mesh/proxyv2:1.2-distroless");
        assert_eq!(of("proxyv2", "mine", "", "1.2", ""), "hub.example/mesh/mine:1.2");
        assert_eq!(of("proxyv2", "other.example/p:3", "debug", "1.2", ""), "other.example/p:3");
        assert_eq!(of("other.example/p@sha256:ab", "", "", "1.2", ""), "other.example/p@sha256:ab");
    }
}
