//! Access logs: a line a request or connection, in Envoy's format strings or as JSON, written by a thread of its own.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, SystemTime};

use hashbrown::HashMap;

use super::{RequestRecord, TcpRecord};
use crate::conn::ConnInfo;
use crate::model::{AccessLog, AccessLogFormat};

/// Lines that wait to be written; more are dropped and counted, so that a slow disk delays no request.
const WAITING: usize = 16 * 1024;

/// Where workers hand in their lines. Cheap to clone.
#[derive(Clone)]
pub struct Sink {
    lines: SyncSender<(Box<str>, String)>,
    dropped: Arc<AtomicU64>,
}

impl Sink {
    /// Starts the writing thread; it ends with the last sink.
    ///
    /// # Errors
    /// If the operating system gives no thread.
    pub fn start() -> std::io::Result<Self> {
        let (lines, receiver) = sync_channel(WAITING);
        std::thread::Builder::new().name("access-log".into()).spawn(move || write_all(&receiver))?;
        Ok(Self { lines, dropped: Arc::default() })
    }

    /// Lines dropped so far.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn write(&self, log: &AccessLog, line: &Line<'_>) {
        if self.lines.try_send((log.path.clone(), line.render(&log.format))).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Writes what is there in one go; a file that cannot be opened is tried again with its next line.
fn write_all(lines: &Receiver<(Box<str>, String)>) {
    let mut files: HashMap<Box<str>, Box<dyn Write>> = HashMap::new();
    while let Ok(first) = lines.recv() {
        let mut batch: HashMap<Box<str>, String> = HashMap::new();
        for (path, line) in std::iter::once(first).chain(lines.try_iter().take(1024)) {
            batch.entry(path).or_default().push_str(&line);
        }
        for (path, text) in batch {
            if let Some(file) = open(&mut files, &path)
                && file.write_all(text.as_bytes()).and_then(|()| file.flush()).is_err()
            {
                files.remove(&path);
            }
        }
    }
}

fn open<'a>(files: &'a mut HashMap<Box<str>, Box<dyn Write>>, path: &str) -> Option<&'a mut Box<dyn Write>> {
    if !files.contains_key(path) {
        let file: Box<dyn Write> = match path {
            "/dev/stdout" => Box::new(std::io::stdout()),
            "/dev/stderr" => Box::new(std::io::stderr()),
            _ => Box::new(OpenOptions::new().create(true).append(true).open(path).ok()?),
        };
        files.insert(path.into(), file);
    }
    files.get_mut(path)
}

/// What a line tells of.
pub(super) struct Line<'a> {
    conn: &'a ConnInfo,
    what: What<'a>,
    elapsed: Duration,
}

enum What<'a> {
    Request(&'a RequestRecord),
    Connection(&'a TcpRecord),
}

impl<'a> Line<'a> {
    pub(super) fn request(conn: &'a ConnInfo, record: &'a RequestRecord, elapsed: Duration) -> Self {
        Self { conn, what: What::Request(record), elapsed }
    }

    pub(super) fn connection(conn: &'a ConnInfo, record: &'a TcpRecord) -> Self {
        Self { conn, elapsed: record.began.elapsed(), what: What::Connection(record) }
    }

    fn render(&self, format: &AccessLogFormat) -> String {
        match format {
            AccessLogFormat::Text(format) => self.expand(format),
            AccessLogFormat::Json(fields) => {
                let object: serde_json::Map<_, _> = fields
                    .iter()
                    .map(|(key, format)| (key.to_string(), serde_json::Value::String(self.expand(format))))
                    .collect();
                serde_json::Value::Object(object).to_string() + "\n"
            }
        }
    }

    /// Replaces `%OPERATOR(argument):length%`; what is not known is `-`.
    fn expand(&self, format: &str) -> String {
        let mut line = String::with_capacity(format.len() * 2);
        let mut rest = format;
        while let Some((text, after)) = rest.split_once('%') {
            line.push_str(text);
            let Some((operator, after)) = after.split_once('%') else { break };
            if operator.is_empty() {
                line.push('%');
            } else {
                self.operator(operator, &mut line);
            }
            rest = after;
        }
        line.push_str(rest);
        line
    }

    fn operator(&self, operator: &str, line: &mut String) {
        let (name, argument, length) = parts(operator);
        let value = match name {
            "REQ" => argument.split('?').find_map(|field| self.requested(field)),
            "RESP" if argument.eq_ignore_ascii_case("x-envoy-upstream-service-time") => self.upstream_time(),
            // Envoy's RBAC filter says of the action LOG here whether a policy matched.
            "DYNAMIC_METADATA" if argument == "envoy.common:access_log_hint" => self.audited(),
            _ => self.value(name),
        };
        match value.filter(|value| !value.is_empty()) {
            // A caller must not write lines of its own.
            Some(value) => line.extend(value.chars().filter(|c| !c.is_control()).take(length)),
            None => line.push('-'),
        }
    }

    fn value(&self, name: &str) -> Option<String> {
        let conn = self.conn;
        Some(match name {
            "START_TIME" => timestamp(self.time()),
            "DURATION" => self.elapsed.as_millis().to_string(),
            "DOWNSTREAM_REMOTE_ADDRESS" => conn.peer.to_string(),
            "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" => conn.peer.ip().to_string(),
            "DOWNSTREAM_LOCAL_ADDRESS" => conn.destination.to_string(),
            "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT" => conn.destination.ip().to_string(),
            "DOWNSTREAM_PEER_URI_SAN" => conn.tls.as_ref()?.uri_sans.join(","),
            "DOWNSTREAM_TLS_VERSION" => conn.tls.as_ref()?.version.to_owned(),
            "REQUESTED_SERVER_NAME" => conn.sni.as_deref()?.to_owned(),
            _ => return self.outcome(name),
        })
    }

    fn outcome(&self, name: &str) -> Option<String> {
        match &self.what {
            What::Request(record) => Some(match name {
                "PROTOCOL" => record.version.as_str().to_owned(),
                "RESPONSE_CODE" => record.status.to_string(),
                "RESPONSE_CODE_DETAILS" => record.details.to_string(),
                "RESPONSE_FLAGS" => record.flags.to_string(),
                "BYTES_RECEIVED" => record.received.to_string(),
                "BYTES_SENT" => record.sent.to_string(),
                "UPSTREAM_CLUSTER" | "UPSTREAM_CLUSTER_RAW" => record.cluster.as_deref()?.to_owned(),
                "UPSTREAM_HOST" => record.endpoint.as_ref()?.address.to_string(),
                "UPSTREAM_LOCAL_ADDRESS" => record.upstream_local?.to_string(),
                "UPSTREAM_REQUEST_ATTEMPT_COUNT" => record.attempts.to_string(),
                "UPSTREAM_TRANSPORT_FAILURE_REASON" => record.upstream_failure.as_deref()?.to_owned(),
                "ROUTE_NAME" => record.route.as_ref()?.name.to_string(),
                "GRPC_STATUS" | "GRPC_STATUS_NUMBER" => record.grpc_status?.to_string(),
                _ => return None,
            }),
            What::Connection(record) => Some(match name {
                "RESPONSE_CODE" => "0".to_owned(),
                "RESPONSE_FLAGS" => record.flags.to_string(),
                "BYTES_RECEIVED" => record.received.to_string(),
                "BYTES_SENT" => record.sent.to_string(),
                "UPSTREAM_CLUSTER" | "UPSTREAM_CLUSTER_RAW" => record.cluster.as_deref()?.to_owned(),
                "UPSTREAM_HOST" => record.endpoint.as_ref()?.address.to_string(),
                "UPSTREAM_TRANSPORT_FAILURE_REASON" => record.failure.clone()?,
                _ => return None,
            }),
        }
    }

    fn requested(&self, field: &str) -> Option<String> {
        let What::Request(record) = &self.what else { return None };
        let value: &[u8] = match field.to_ascii_lowercase().as_str() {
            ":method" => &record.method,
            ":path" => &record.path,
            ":authority" | "host" => &record.authority,
            "user-agent" => record.user_agent.as_deref()?,
            "x-request-id" => record.request_id.as_deref()?,
            "x-forwarded-for" => record.forwarded_for.as_deref()?,
            _ => return None,
        };
        Some(String::from_utf8_lossy(value).into_owned())
    }

    fn audited(&self) -> Option<String> {
        let audited = match &self.what {
            What::Request(record) => record.audited,
            What::Connection(_) => self.conn.audited,
        };
        audited.map(|audited| audited.to_string())
    }

    fn upstream_time(&self) -> Option<String> {
        let What::Request(record) = &self.what else { return None };
        Some(record.upstream_time?.as_millis().to_string())
    }

    fn time(&self) -> SystemTime {
        match &self.what {
            What::Request(record) => record.time,
            What::Connection(record) => record.time,
        }
    }
}

fn parts(operator: &str) -> (&str, &str, usize) {
    let Some((name, rest)) = operator.split_once('(') else { return (operator, "", usize::MAX) };
    match rest.rsplit_once(')') {
        Some((argument, length)) => {
            (name, argument, length.strip_prefix(':').and_then(|length| length.parse().ok()).unwrap_or(usize::MAX))
        }
        None => (name, rest, usize::MAX),
    }
}

/// `2026-01-31T12:00:00.000Z`.
fn timestamp(time: SystemTime) -> String {
    let mut text = String::with_capacity(24);
    if let Ok(time) = jiff::Timestamp::try_from(time) {
        // Writing to a String cannot fail.
        let _ = write!(text, "{time:.3}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_have_arguments_and_lengths() {
        assert_eq!(parts("REQ(A?:B):12"), ("REQ", "A?:B", 12));
        assert_eq!(parts("DURATION"), ("DURATION", "", usize::MAX));
        assert_eq!(timestamp(SystemTime::UNIX_EPOCH), "1970-01-01T00:00:00.000Z");
    }
}
