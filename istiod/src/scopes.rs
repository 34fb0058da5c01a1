//! The levels of the running istiod's log, as `istioctl admin log` reads and changes them: of Istio's ControlZ the page
//! `/scopej`, on loopback, where whoever forwards a port to the pod is.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Json, Path};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use mesh_runtime::{LogLevels, front_page, logging};
use serde::{Deserialize, Serialize};

/// What is said of each part of istiod in the log.
const SCOPES: [(&str, &str); 6] = [
    ("default", "Whatever has no scope of its own"),
    ("citadel", "Certificates of workloads, and their authority"),
    ("galley", "Objects of Kubernetes, and what is wrong with them"),
    ("injector", "Sidecars and gateways put into pods"),
    ("istiod", "Webhooks, status, ingress and the election of a leader"),
    ("pilot", "Configuration of proxies"),
];

/// A scope in Istio's words.
#[derive(Serialize)]
struct Scope {
    name: &'static str,
    description: &'static str,
    output_level: String,
    /// There are no traces of the stack in this log.
    stack_trace_level: &'static str,
    log_callers: bool,
}

/// What is asked of a scope.
#[derive(Deserialize)]
struct Change {
    #[serde(default)]
    output_level: String,
    #[serde(default)]
    stack_trace_level: String,
}

/// Opens the port.
///
/// # Errors
/// If it is taken.
pub(crate) async fn serve(port: u16) -> Result<()> {
    crate::pages::open(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port), pages()).await
}

fn pages() -> Router {
    let front = front_page("istiod", &[("/scopej", "Levels of the log; PUT /scopej/SCOPE changes one")]);
    let router = Router::new().route("/", get(async || Html(front)));
    router.route("/scopej", get(all)).route("/scopej/{scope}", get(one).put(change))
}

async fn all() -> Json<Vec<Scope>> {
    let levels = logging::levels();
    Json(SCOPES.iter().map(|(name, description)| scope(name, description, &levels)).collect())
}

async fn one(Path(name): Path<String>) -> Response {
    match known(&name) {
        Ok((name, description)) => Json(scope(name, description, &logging::levels())).into_response(),
        Err(refused) => refused.into_response(),
    }
}

/// Answers as ControlZ does, with 202. istioctl does not say that its body is JSON.
async fn change(Path(name): Path<String>, body: Bytes) -> Response {
    match known(&name).and_then(|(name, _)| Change::read(&body)?.apply(name)) {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err(refused) => refused.into_response(),
    }
}

type Refused = (StatusCode, String);

fn known(name: &str) -> Result<(&'static str, &'static str), Refused> {
    let unknown = || {
        let names: Vec<&str> = SCOPES.iter().map(|(name, _)| *name).collect();
        (StatusCode::NOT_FOUND, format!("there is no scope {name:?}, but {}\n", names.join(", ")))
    };
    SCOPES.iter().find(|(known, _)| *known == name).copied().ok_or_else(unknown)
}

fn scope(name: &'static str, description: &'static str, levels: &LogLevels) -> Scope {
    let output_level = match levels.of(name).to_string().as_str() {
        "off" => "none".to_owned(),
        "trace" => "debug".to_owned(),
        level => level.to_owned(),
    };
    Scope { name, description, output_level, stack_trace_level: "none", log_callers: false }
}

impl Change {
    fn read(body: &[u8]) -> Result<Self, Refused> {
        serde_json::from_slice(body).map_err(|error| refused(format!("the body is no scope: {error}")))
    }

    fn apply(&self, scope: &'static str) -> Result<(), Refused> {
        if !matches!(&*self.stack_trace_level, "" | "none") {
            return Err(refused("stack_trace_level: this log has no traces of the stack".to_owned()));
        }
        if self.output_level.is_empty() {
            return Ok(());
        }
        let mut outcome = Ok(());
        logging::change(|levels| outcome = levels.set(scope, &self.output_level));
        outcome.map_err(|error| refused(format!("output_level: {error}")))
    }
}

fn refused(reason: String) -> Refused {
    (StatusCode::BAD_REQUEST, format!("{reason}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output_level(levels: &LogLevels, name: &'static str) -> String {
        scope(name, "", levels).output_level
    }

    #[test]
    fn levels_are_told_in_istios_words() {
        let levels: LogLevels = "default:warn,pilot:trace,galley:none".parse().unwrap();
        assert_eq!(
            ["default", "pilot", "galley", "citadel"].map(|name| output_level(&levels, name)),
            ["warn", "debug", "none", "warn"]
        );
    }

    /// Status and body of an answer.
    async fn ask(url: String, body: Option<&'static str>) -> (u16, String) {
        let mut curl = std::process::Command::new("curl");
        curl.args(["--silent", "--show-error", "--max-time", "60", "--write-out", "\n%{http_code}", &url]);
        if let Some(body) = body {
            curl.args(["--request", "PUT", "--header", "Content-Type:", "--data", body]);
        }
        let output = tokio::task::spawn_blocking(move || curl.output()).await.unwrap().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, status) = text.rsplit_once('\n').unwrap();
        (status.parse().unwrap(), body.to_owned())
    }

    #[tokio::test]
    async fn levels_are_changed_as_istioctl_asks_and_nothing_else_is_taken() {
        logging::init(&LogLevels::default(), mesh_runtime::LogFormat::Text).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/scopej", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, pages()).await });
        assert!(ask(base.replace("/scopej", "/"), None).await.1.contains("href=\"/scopej\""));
        let at = |scope: &str| format!("{base}/{scope}");
        let (status, all) = ask(base.clone(), None).await;
        let all: Vec<serde_json::Value> = serde_json::from_str(&all).unwrap();
        assert_eq!((status, all.len()), (200, SCOPES.len()));
        assert!(
            all.iter().all(|scope| scope["output_level"] == "info" && scope["stack_trace_level"] == "none"),
            "{all:?}"
        );
        assert!(!tracing::enabled!(target: "pilot", tracing::Level::DEBUG));
        let debug = r#"{"name":"pilot","output_level":"debug"}"#;
        assert_eq!(ask(at("pilot"), Some(debug)).await, (202, String::new()));
        assert!(tracing::enabled!(target: "pilot", tracing::Level::DEBUG));
        assert!(ask(at("pilot"), None).await.1.contains(r#""output_level":"debug""#));
        for (scope, body, status, named) in [
            ("ads", debug, 404, "\"ads\""),
            ("pilot", r#"{"output_level":"loud"}"#, 400, "\"pilot:loud\""),
            ("pilot", r#"{"stack_trace_level":"debug"}"#, 400, "stack_trace_level"),
            ("pilot", "debug", 400, "no scope"),
        ] {
            let (is, reason) = ask(at(scope), Some(body)).await;
            assert!(is == status && reason.contains(named), "{is} {reason}");
        }
    }
}
