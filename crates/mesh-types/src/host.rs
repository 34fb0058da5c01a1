//! Host names and the wildcard patterns over them that Istio's objects use.

/// A host pattern: an exact name, `*.suffix`, `prefix*`, or `*`. Kept in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// Exactly this name.
    Exact(String),
    /// Names that end so; the stored text keeps its leading dot for `*.example.com`.
    Suffix(String),
    /// Names that begin so.
    Prefix(String),
    /// Every name.
    Any,
}

impl HostPattern {
    /// Reads a pattern. A `*` elsewhere than at the ends is taken literally, and so matches nothing real.
    pub fn parse(text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        if text == "*" {
            Self::Any
        } else if let Some(suffix) = text.strip_prefix('*') {
            Self::Suffix(suffix.to_owned())
        } else if let Some(prefix) = text.strip_suffix('*') {
            Self::Prefix(prefix.to_owned())
        } else {
            Self::Exact(text)
        }
    }

    /// True if `host`, which must be in lower case, matches. A wildcard stands for at least one character.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => name == host,
            Self::Suffix(suffix) => host.len() > suffix.len() && host.ends_with(suffix.as_str()),
            Self::Prefix(prefix) => host.len() > prefix.len() && host.starts_with(prefix.as_str()),
            Self::Any => true,
        }
    }

    /// Orders patterns by Envoy's virtual-host search: exact, then longest suffix, then longest prefix, then `*`.
    pub fn specificity(&self) -> (u8, usize) {
        match self {
            Self::Exact(name) => (3, name.len()),
            Self::Suffix(suffix) => (2, suffix.len()),
            Self::Prefix(prefix) => (1, prefix.len()),
            Self::Any => (0, 0),
        }
    }
}

/// Splits an authority into host and port. Brackets of an IPv6 literal are kept on the host.
/// A port that is no number stays part of the host, so that it matches nothing.
pub fn split_host_port(authority: &str) -> (&str, Option<u16>) {
    let Some((host, port)) = authority.rsplit_once(':') else { return (authority, None) };
    if host.contains(':') && !host.ends_with(']') {
        return (authority, None);
    }
    if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) {
        return (authority, None);
    }
    match port.parse() {
        Ok(port) => (host, Some(port)),
        Err(_) => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_envoy_does() {
        let cases = [
            ("a.example.com", "a.example.com", true),
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", ".example.com", false),
            ("foo.*", "foo.bar", true),
            ("*", "anything", true),
            ("A.Example.com", "a.example.com", true),
        ];
        for (pattern, host, want) in cases {
            assert_eq!(HostPattern::parse(pattern).matches(host), want, "{pattern} {host}");
        }
    }

    #[test]
    fn authorities_split() {
        let cases = [
            ("a.b", ("a.b", None)),
            ("a.b:80", ("a.b", Some(80))),
            ("[::1]:80", ("[::1]", Some(80))),
            ("[::1]", ("[::1]", None)),
            ("::1", ("::1", None)),
            ("a:99999", ("a:99999", None)),
            ("a:", ("a:", None)),
        ];
        for (authority, want) in cases {
            assert_eq!(split_host_port(authority), want, "{authority}");
        }
    }
}
