//! Logging, with Istio's flag for levels: `--log_output_level=default:info,weft_proxy::xds:debug`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use parking_lot::Mutex;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt as output, reload};

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line (`--log_as_json`).
    Json,
}

/// Levels by scope. A scope is the path of a crate or module, such as `pilot` or `weft_proxy::xds`;
/// `default` (or no scope) stands for all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLevels {
    default: LevelFilter,
    scopes: BTreeMap<String, LevelFilter>,
}

/// A part of the flag that is not `<scope>:<level>`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not <scope>:<level>, with a level of none, error, warn, info, debug or trace")]
pub struct LogLevelsError(String);

/// Another logger was installed before.
#[derive(Debug, thiserror::Error)]
#[error("logging is set up already")]
pub struct AlreadyInstalled;

/// Sends the log to standard error, for the whole process.
///
/// # Errors
/// If a logger is installed already.
pub fn init(levels: &LogLevels, format: LogFormat) -> Result<(), AlreadyInstalled> {
    let layer = output::layer().with_writer(std::io::stderr);
    let layer = match format {
        LogFormat::Text => layer.with_ansi(false).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    };
    let (filter, handle) = reload::Layer::new(levels.targets());
    tracing_subscriber::registry().with(layer.with_filter(filter)).try_init().map_err(|_| AlreadyInstalled)?;
    ACTIVE.set(Active { levels: Mutex::new(levels.clone()), handle }).map_err(|_| AlreadyInstalled)
}

/// What [`init`] has set up.
static ACTIVE: OnceLock<Active> = OnceLock::new();

struct Active {
    levels: Mutex<LogLevels>,
    handle: reload::Handle<Targets, Registry>,
}

/// The levels of the running process; the default without a log.
pub fn levels() -> LogLevels {
    ACTIVE.get().map_or_else(LogLevels::default, |active| active.levels.lock().clone())
}

/// Changes the levels of the running process, and says what they are now. Without a log there is nothing to change.
pub fn change(change: impl FnOnce(&mut LogLevels)) -> LogLevels {
    let Some(active) = ACTIVE.get() else { return LogLevels::default() };
    let mut levels = active.levels.lock();
    change(&mut levels);
    // It fails only where the log is gone.
    let _ = active.handle.reload(levels.targets());
    levels.clone()
}

impl LogLevels {
    /// The same without a library that tells of what its caller tells of better. A flag that names it is heeded.
    #[must_use]
    pub fn without(mut self, scope: &str) -> Self {
        self.scopes.entry(scope.to_owned()).or_insert(LevelFilter::OFF);
        self
    }

    /// The same, with scopes that are not named at least as verbose as the other's.
    #[must_use]
    pub fn at_least(mut self, other: &Self) -> Self {
        self.default = self.default.max(other.default);
        self
    }

    /// Puts the levels that a flag names over these; one for all takes the place of every scope's that says something.
    ///
    /// # Errors
    /// As reading the flag; nothing is changed then.
    pub fn overlay(&mut self, flag: &str) -> Result<(), LogLevelsError> {
        let parts = flag.split(',').map(str::trim).filter(|part| !part.is_empty());
        let named = parts.map(scope_and_level).collect::<Result<Vec<_>, _>>()?;
        for (_, level) in named.iter().filter(|(scope, _)| is_all(scope)) {
            self.default = *level;
            self.scopes.retain(|_, level| *level == LevelFilter::OFF);
        }
        let scopes = named.into_iter().filter(|(scope, _)| !is_all(scope));
        self.scopes.extend(scopes.map(|(scope, level)| (scope.to_owned(), level)));
        Ok(())
    }

    /// Sets the level of one scope; `default` is that of all which have none.
    ///
    /// # Errors
    /// If there is no such level.
    pub fn set(&mut self, scope: &str, level: &str) -> Result<(), LogLevelsError> {
        let level = level_named(level).ok_or_else(|| LogLevelsError(format!("{scope}:{level}")))?;
        match scope {
            "default" => self.default = level,
            scope => drop(self.scopes.insert(scope.to_owned(), level)),
        }
        Ok(())
    }

    /// The level of a scope.
    pub fn of(&self, scope: &str) -> LevelFilter {
        self.scopes.get(scope).copied().unwrap_or(self.default)
    }

    /// Scopes and levels, all others' first.
    pub fn iter(&self) -> impl Iterator<Item = (&str, LevelFilter)> {
        let scopes = self.scopes.iter().map(|(scope, level)| (scope.as_str(), *level));
        std::iter::once(("default", self.default)).chain(scopes)
    }

    fn targets(&self) -> Targets {
        let targets = Targets::new().with_default(self.default);
        self.scopes.iter().fold(targets, |targets, (scope, level)| targets.with_target(scope.clone(), *level))
    }
}

impl Default for LogLevels {
    /// `default:info`.
    fn default() -> Self {
        Self { default: LevelFilter::INFO, scopes: BTreeMap::new() }
    }
}

impl FromStr for LogLevels {
    type Err = LogLevelsError;

    fn from_str(flag: &str) -> Result<Self, Self::Err> {
        let mut levels = Self::default();
        levels.overlay(flag)?;
        Ok(levels)
    }
}

fn scope_and_level(part: &str) -> Result<(&str, LevelFilter), LogLevelsError> {
    // The last colon parts scope and level: scopes hold colons themselves.
    let (scope, level) = part.rsplit_once(':').unwrap_or(("default", part));
    let level = level_named(level).filter(|_| !scope.is_empty());
    level.map(|level| (scope, level)).ok_or_else(|| LogLevelsError(part.to_owned()))
}

fn is_all(scope: &str) -> bool {
    matches!(scope, "default" | "all")
}

impl fmt::Display for LogLevels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "default:{}", self.default)?;
        self.scopes.iter().try_for_each(|(scope, level)| write!(f, ",{scope}:{level}"))
    }
}

/// Istio's and Envoy's words for levels.
fn level_named(name: &str) -> Option<LevelFilter> {
    Some(match name {
        "none" | "off" => LevelFilter::OFF,
        "fatal" | "critical" | "error" => LevelFilter::ERROR,
        "warn" | "warning" => LevelFilter::WARN,
        "info" => LevelFilter::INFO,
        "debug" => LevelFilter::DEBUG,
        "trace" => LevelFilter::TRACE,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_laid_over_others() {
        let mut levels: LogLevels = "info,pilot:debug,h2:none".parse().unwrap();
        levels.overlay("weft_proxy::xds:trace").unwrap();
        assert_eq!(levels.to_string(), "default:info,h2:off,pilot:debug,weft_proxy::xds:trace");
        levels.overlay("warning").unwrap();
        assert_eq!(levels.to_string(), "default:warn,h2:off");
        levels.overlay("pilot:debug").unwrap();
        levels.overlay("all:warn").unwrap();
        levels.overlay("pilot:loud").unwrap_err();
        assert_eq!(levels.to_string(), "default:warn,h2:off");
    }

    #[test]
    fn one_scope_is_set_without_the_others() {
        let mut levels: LogLevels = "info,pilot:debug".parse().unwrap();
        levels.set("default", "error").unwrap();
        levels.set("galley", "none").unwrap();
        assert_eq!(levels.set("galley", "loud").unwrap_err().to_string().split(' ').next(), Some("\"galley:loud\""));
        assert_eq!(levels.to_string(), "default:error,galley:off,pilot:debug");
        assert_eq!(
            ["default", "galley", "citadel"].map(|scope| levels.of(scope).to_string()),
            ["error", "off", "error"]
        );
    }

    #[test]
    fn reads_istios_flag() {
        let levels: LogLevels = "default:warn, weft_proxy::xds:debug,pilot:none".parse().unwrap();
        assert_eq!(levels.to_string(), "default:warn,pilot:off,weft_proxy::xds:debug");
        assert_eq!("debug".parse::<LogLevels>().unwrap().to_string(), "default:debug");
        assert_eq!("".parse::<LogLevels>().unwrap(), LogLevels::default());
    }

    #[test]
    fn names_the_part_that_is_wrong() {
        for bad in ["default:loud", "xds:", ":info", "default:info,pilot:7"] {
            let error = bad.parse::<LogLevels>().unwrap_err().to_string();
            assert!(error.contains(bad.rsplit(',').next().unwrap()), "{error}");
        }
    }

    #[test]
    fn scopes_cover_their_modules() {
        let targets = "default:error,weft_proxy::xds:debug".parse::<LogLevels>().unwrap().targets();
        assert!(targets.would_enable("weft_proxy::xds::ack", &tracing::Level::DEBUG));
        assert!(!targets.would_enable("weft_proxy::pool", &tracing::Level::INFO));
    }

    #[test]
    fn of_two_levels_the_more_verbose_counts() {
        let levels = |one: &str, other: &str| {
            let [one, other] = [one, other].map(|flag| flag.parse::<LogLevels>().unwrap());
            one.at_least(&other).to_string()
        };
        assert_eq!(levels("default:info", "debug"), "default:debug");
        assert_eq!(levels("default:info", "off"), "default:info");
        assert_eq!(levels("pilot:error", "trace"), "default:trace,pilot:error");
    }

    #[test]
    fn a_library_is_silent_unless_it_is_named() {
        let levels = |flag: &str| flag.parse::<LogLevels>().unwrap().without("kube_client").to_string();
        assert_eq!(levels("default:info"), "default:info,kube_client:off");
        assert_eq!(levels("kube_client:debug"), "default:info,kube_client:debug");
    }
}
