//! Envoy's response flags: what the access log's `%RESPONSE_FLAGS%` and the metrics' `response_flags` say.

use std::fmt;

/// Defines the flags with their short and long words.
macro_rules! flags {
    ($($name:ident $short:literal $long:literal $doc:literal)*) => {
        /// One of Envoy's response flags.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Flag { $( #[doc = $doc] $name, )* }

        impl Flag {
            const ALL: &[Self] = &[$( Self::$name, )*];

            /// The word of `%RESPONSE_FLAGS%`.
            pub fn short(self) -> &'static str {
                match self { $( Self::$name => $short, )* }
            }

            /// The word of `%RESPONSE_FLAGS_LONG%`.
            pub fn long(self) -> &'static str {
                match self { $( Self::$name => $long, )* }
            }
        }
    };
}

flags! {
    NoHealthyUpstream "UH" "NoHealthyUpstream" "No endpoint was usable."
    UpstreamConnection "UF" "UpstreamConnectionFailure" "The connection to the endpoint failed."
    UpstreamOverflow "UO" "UpstreamOverflow" "A limit of the cluster was reached."
    NoRoute "NR" "NoRouteFound" "No route or filter chain took it."
    UpstreamRetryLimit "URX" "UpstreamRetryLimitExceeded" "It failed after the last allowed try."
    NoCluster "NC" "NoClusterFound" "The route's cluster does not exist."
    DownstreamTermination "DC" "DownstreamConnectionTermination" "The caller went away."
    LocalReset "LR" "LocalReset" "We reset the stream."
    UpstreamReset "UR" "UpstreamRemoteReset" "The endpoint reset the stream."
    UpstreamTermination "UC" "UpstreamConnectionTermination" "The endpoint closed the connection."
    UpstreamTimeout "UT" "UpstreamRequestTimeout" "The answer did not come in time."
    UpstreamProtocol "UPE" "UpstreamProtocolError" "The endpoint's answer was no HTTP."
    DelayInjected "DI" "DelayInjected" "A delay was injected."
    FaultInjected "FI" "FaultInjected" "An abort was injected."
    RateLimited "RL" "RateLimited" "A rate limit was reached."
    StreamIdle "SI" "StreamIdleTimeout" "Nothing moved for too long."
    DownstreamProtocol "DPE" "DownstreamProtocolError" "The caller did not speak HTTP."
    MaxDuration "UMSDR" "UpstreamMaxStreamDurationReached" "The stream lasted too long."
    OverloadManager "OM" "OverloadManagerTerminated" "The proxy is at a limit."
    DnsFailure "DF" "DnsResolutionFailed" "The cluster's name did not resolve."
}

/// A set of flags.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Flags(u32);

impl Flags {
    /// Adds a flag.
    pub fn insert(&mut self, flag: Flag) {
        self.0 |= 1 << flag as u8;
    }

    /// True if the flag is set.
    pub fn contains(self, flag: Flag) -> bool {
        self.0 & (1 << flag as u8) != 0
    }

    /// True if none is set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// All flags that are set.
    pub fn iter(self) -> impl Iterator<Item = Flag> {
        Flag::ALL.iter().copied().filter(move |flag| self.contains(*flag))
    }
}

impl From<Option<Flag>> for Flags {
    fn from(flag: Option<Flag>) -> Self {
        let mut flags = Self::default();
        if let Some(flag) = flag {
            flags.insert(flag);
        }
        flags
    }
}

impl fmt::Display for Flags {
    /// Short words joined by commas, or `-`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("-");
        }
        for (position, flag) in self.iter().enumerate() {
            write!(f, "{}{}", if position == 0 { "" } else { "," }, flag.short())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_print_as_envoys() {
        let mut flags = Flags::default();
        assert_eq!(flags.to_string(), "-");
        flags.insert(Flag::UpstreamRetryLimit);
        flags.insert(Flag::UpstreamConnection);
        assert_eq!(flags.to_string(), "UF,URX");
    }
}
