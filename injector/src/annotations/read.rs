//! How the values of annotations are read. Each error is the second half of a sentence that begins with the
//! annotation's name.

use ipnet::IpNet;
use mesh_runtime::LogLevels;

/// # Errors
/// If it is not `true` or `false`.
pub(crate) fn truth(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| format!("{text:?} is neither \"true\" nor \"false\""))
}

/// # Errors
/// If it is no number that a probe takes.
pub(crate) fn count(text: &str) -> Result<u32, String> {
    let count = text.parse().ok().filter(|count| i32::try_from(*count).is_ok());
    count.ok_or_else(|| format!("{text:?} is no number"))
}

/// As [`count`], but not 0.
pub(crate) fn positive(text: &str) -> Result<u32, String> {
    count(text).and_then(|count| if count > 0 { Ok(count) } else { Err("0 is too little".to_owned()) })
}

/// # Errors
/// If it is no port.
pub(crate) fn port(text: &str) -> Result<u16, String> {
    text.parse().ok().filter(|port| *port > 0).ok_or_else(|| format!("{text:?} is no port"))
}

/// A comma-separated list, maybe empty.
pub(crate) fn ports(text: &str) -> Result<Vec<u16>, String> {
    list(text, port)
}

/// `*` (`None`) or a list.
pub(crate) fn ports_or_all(text: &str) -> Result<Option<Vec<u16>>, String> {
    if text.trim() == "*" { Ok(None) } else { ports(text).map(Some) }
}

/// A comma-separated list, maybe empty.
pub(crate) fn networks(text: &str) -> Result<Vec<IpNet>, String> {
    list(text, |item| item.parse().map_err(|_| format!("{item:?} is no network such as 10.0.0.0/8")))
}

/// `*` (`None`) or a list.
pub(crate) fn networks_or_all(text: &str) -> Result<Option<Vec<IpNet>>, String> {
    if text.trim() == "*" { Ok(None) } else { networks(text).map(Some) }
}

/// Names of network interfaces, by the kernel's own rule.
pub(crate) fn interfaces(text: &str) -> Result<Vec<String>, String> {
    let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'+');
    list(text, |name| {
        if name.len() <= 15 && name.bytes().all(valid) {
            Ok(name.to_owned())
        } else {
            Err(format!("{name:?} is no name of a network interface"))
        }
    })
}

/// # Errors
/// If it is a mode other than `REDIRECT`.
pub(crate) fn interception_mode(mode: &str) -> Result<(), String> {
    match mode {
        "REDIRECT" => Ok(()),
        "TPROXY" | "NONE" => Err(format!("{mode} is not served; use REDIRECT")),
        other => Err(format!("{other:?} is no interception mode; use REDIRECT")),
    }
}

/// Istio's flag for the levels of scopes.
pub(crate) fn log_levels(text: &str) -> Result<String, String> {
    plain(text)?;
    text.parse::<LogLevels>().map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// Envoy's words for the level of a log.
const PROXY_LEVELS: &[&str] = &["trace", "debug", "info", "warning", "warn", "error", "critical", "off"];

/// # Errors
/// If there is no such level.
pub(crate) fn proxy_log_level(level: &str) -> Result<String, String> {
    if PROXY_LEVELS.contains(&level) {
        return Ok(level.to_owned());
    }
    Err(format!("{level:?} is no level of a log; use one of {}", PROXY_LEVELS.join(", ")))
}

/// Levels of Envoy's components: none but Istio's default, which changes nothing here.
pub(crate) fn component_log_levels(text: &str) -> Result<String, String> {
    match text {
        "" | "misc:error" => Ok(text.to_owned()),
        other => Err(format!(
            "{other:?} is not served: the proxy has none of Envoy's components; set the levels of its own by the \
             annotation sidecar.istio.io/agentLogLevel, such as default:info,weft_proxy::xds:debug"
        )),
    }
}

/// What becomes part of a command line holds nothing that Kubernetes would expand.
fn plain(text: &str) -> Result<(), String> {
    let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b':' | b',' | b'_' | b'-' | b'.' | b' ');
    if text.bytes().all(valid) { Ok(()) } else { Err(format!("{text:?} holds characters that no level has")) }
}

/// A quantity of CPU or memory: a number, then Kubernetes' suffix.
pub(crate) fn quantity(text: &str) -> Result<String, String> {
    const SUFFIXES: &[&str] = &["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let exponent = suffix.strip_prefix(['e', 'E']).is_some_and(|power| power.parse::<i8>().is_ok());
    if number.parse::<f64>().is_ok() && (SUFFIXES.contains(&suffix) || exponent) {
        return Ok(text.to_owned());
    }
    Err(format!("{text:?} is no quantity such as 100m or 128Mi"))
}

fn list<T>(text: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_kubernetes_own() {
        for good in ["100m", "2", "0.5", "128Mi", "1e3", "1E", "2G"] {
            assert_eq!(quantity(good).as_deref(), Ok(good));
        }
        for bad in ["", "m", "1 Gi", "-1", "1mb", "1.2.3", "lots", "1ee3"] {
            assert!(quantity(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lists_name_the_item_that_is_wrong() {
        assert_eq!(ports("80, 8080,"), Ok(vec![80, 8080]));
        assert_eq!(ports("80,http").unwrap_err(), "\"http\" is no port");
        assert_eq!(ports("0").unwrap_err(), "\"0\" is no port");
        assert_eq!(networks("10.0.0.0/8,fd00::/8").map(|networks| networks.len()), Ok(2));
        assert!(networks("10.0.0.1").is_err() && networks("10.0.0.0/33").is_err());
        assert_eq!(interfaces("eth0;reboot").unwrap_err(), "\"eth0;reboot\" is no name of a network interface");
    }

    #[test]
    fn levels_cannot_smuggle_variables() {
        assert!(log_levels("default:debug,weft_proxy::xds:trace").is_ok());
        assert!(log_levels("default:$(SECRET)").is_err());
    }

    #[test]
    fn components_of_envoy_have_no_levels() {
        assert!(component_log_levels("misc:error").is_ok() && component_log_levels("").is_ok());
        let refusal = component_log_levels("misc:error,http:debug").unwrap_err();
        assert!(refusal.contains("sidecar.istio.io/agentLogLevel"), "{refusal}");
    }
}
