//! One worker's end of the records.

use std::cell::RefCell;
use std::sync::Arc;

use hashbrown::HashMap;
use mesh_http::RequestHead;
use mesh_types::{Identity, Name};

use super::access_log::{Line, Lines, Sink};
use super::labels::{self, Outcome};
use super::peer::{Introduction, PeerWorkload};
use super::registry::Shard;
use super::{Registry, RequestRecord, TcpRecord};
use crate::config::Node;
use crate::conn::ConnInfo;
use crate::fault::Flags;
use crate::http::grpc;
use crate::model::{Destination, Endpoint, HttpConnection, ListenerKind, TcpProxy, WorkloadRef};

/// Handles are forgotten beyond so many; the series stay.
const MOST_HANDLES: usize = 8192;

/// Takes the records of one worker.
pub struct Recorder {
    node: Arc<Node>,
    /// What callees are told of us.
    pub introduction: Introduction,
    shard: Shard,
    lines: Lines,
    handles: RefCell<HashMap<Key, usize>>,
}

/// What tells series apart: names that are shared pointers compare by their text only when their hashes meet.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    tcp: bool,
    kind: ListenerKind,
    peer: Option<Identity>,
    peer_workload: Option<Arc<PeerWorkload>>,
    cluster: Option<Name>,
    workload: Option<WorkloadRef>,
    protocol: &'static str,
    status: u16,
    grpc: Option<u32>,
    flags: Flags,
}

/// The last request of a connection, by what can differ from one to the next, and where it was counted.
#[derive(Clone, Debug)]
pub struct LastSeries {
    cluster: Option<Name>,
    endpoint: Option<Arc<Endpoint>>,
    status: u16,
    grpc: Option<Option<u32>>,
    flags: Flags,
    /// The peer had told of its workload.
    told: bool,
    place: usize,
}

impl LastSeries {
    fn of(conn: &ConnInfo, record: &RequestRecord, place: usize) -> Self {
        Self {
            cluster: record.destination.as_ref().map(Destination::name).cloned(),
            endpoint: record.endpoint.clone(),
            status: record.status,
            grpc: record.grpc.then_some(record.grpc_status),
            flags: record.flags,
            told: conn.peer_workload.get().is_some(),
            place,
        }
    }

    /// True if a request is counted in the same place. Names that were replaced by equal ones are not the same, which costs
    /// a look-up and nothing else. Of endpoints only the workload counts: calls are spread over several of one.
    fn holds(&self, conn: &ConnInfo, record: &RequestRecord) -> bool {
        fn same<T: ?Sized>(one: Option<&Arc<T>>, other: Option<&Arc<T>>) -> bool {
            match (one, other) {
                (Some(one), Some(other)) => Arc::ptr_eq(one, other),
                (one, other) => one.is_none() && other.is_none(),
            }
        }
        same(self.cluster.as_ref(), record.destination.as_ref().map(Destination::name))
            && same_workload(self.endpoint.as_deref(), record.endpoint.as_deref())
            && self.status == record.status
            && self.grpc == record.grpc.then_some(record.grpc_status)
            && self.flags == record.flags
            && self.told == conn.peer_workload.get().is_some()
    }
}

impl Recorder {
    /// A worker's recorder.
    pub fn new(node: Arc<Node>, registry: &Registry, sink: &Sink) -> Self {
        Self {
            introduction: Introduction::of(&node),
            node,
            shard: registry.shard(),
            lines: sink.lines(),
            handles: RefCell::default(),
        }
    }

    /// A request is over; `head` is its head as it was sent on.
    pub fn request(&self, conn: &ConnInfo, http: &HttpConnection, record: &RequestRecord, head: &RequestHead) {
        let elapsed = record.ended.map_or_else(|| record.began.elapsed(), |ended| ended - record.began);
        let place = self.place(conn, record);
        self.shard.lock().request(place, elapsed.as_secs_f64() * 1e3, record.received, record.sent);
        for log in http.access_logs.iter() {
            let line = Line::request(conn, record, head, elapsed);
            self.lines.append(&log.path, |out| line.render(&log.format, out));
        }
    }

    /// Where a request is counted: most often where the last of its connection was.
    fn place(&self, conn: &ConnInfo, record: &RequestRecord) -> usize {
        if let Some(last) = &*conn.memo.series.borrow()
            && last.holds(conn, record)
        {
            return last.place;
        }
        let place = self.request_place(conn, record);
        *conn.memo.series.borrow_mut() = Some(LastSeries::of(conn, record, place));
        place
    }

    fn request_place(&self, conn: &ConnInfo, record: &RequestRecord) -> usize {
        let protocol = if record.grpc { "grpc" } else { "http" };
        let grpc = record.grpc_status.filter(|_| record.grpc).map(grpc::known);
        let key = Key {
            tcp: false,
            kind: conn.kind,
            peer: conn.peer_identity().cloned(),
            peer_workload: conn.peer_workload.get().cloned(),
            cluster: record.destination.as_ref().map(Destination::name).cloned(),
            workload: workload(record.endpoint.as_deref()),
            protocol,
            status: record.status,
            grpc,
            flags: record.flags,
        };
        self.handle(key, || {
            let flags = record.flags.to_string();
            let outcome = Outcome { protocol, status: Some(record.status), flags: &flags, grpc };
            let endpoint = record.endpoint.as_deref();
            let text = labels::render(&self.node, conn, endpoint, record.destination.as_ref(), &outcome);
            self.shard.lock().requests_of(&text)
        })
    }

    /// A connection of bytes has begun.
    pub fn tcp_opened(&self, conn: &ConnInfo, _proxy: &TcpProxy, record: &TcpRecord) {
        let place = self.tcp_place(conn, record, Flags::default());
        self.shard.lock().connection(place, |series| series.opened += 1);
    }

    /// A connection of bytes is over.
    pub fn tcp_closed(&self, conn: &ConnInfo, proxy: &TcpProxy, record: &TcpRecord) {
        let place = self.tcp_place(conn, record, record.flags);
        self.shard.lock().connection(place, |series| {
            series.closed += 1;
            series.received += record.received;
            series.sent += record.sent;
        });
        for log in proxy.access_logs.iter() {
            let line = Line::connection(conn, record);
            self.lines.append(&log.path, |out| line.render(&log.format, out));
        }
    }

    fn tcp_place(&self, conn: &ConnInfo, record: &TcpRecord, flags: Flags) -> usize {
        let key = Key {
            tcp: true,
            kind: conn.kind,
            peer: conn.peer_identity().cloned(),
            peer_workload: conn.peer_workload.get().cloned(),
            cluster: record.destination.as_ref().map(Destination::name).cloned(),
            workload: workload(record.endpoint.as_deref()),
            protocol: "tcp",
            status: 0,
            grpc: None,
            flags,
        };
        self.handle(key, || {
            let flags = flags.to_string();
            let outcome = Outcome { protocol: "tcp", status: None, flags: &flags, grpc: None };
            let endpoint = record.endpoint.as_deref();
            let text = labels::render(&self.node, conn, endpoint, record.destination.as_ref(), &outcome);
            self.shard.lock().connections_of(&text)
        })
    }

    fn handle(&self, key: Key, make: impl FnOnce() -> usize) -> usize {
        let mut handles = self.handles.borrow_mut();
        if let Some(place) = handles.get(&key) {
            return *place;
        }
        if handles.len() >= MOST_HANDLES {
            handles.clear();
        }
        let place = make();
        handles.insert(key, place);
        place
    }
}

fn workload(endpoint: Option<&Endpoint>) -> Option<WorkloadRef> {
    endpoint?.workload.clone()
}

fn same_workload(one: Option<&Endpoint>, other: Option<&Endpoint>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => std::ptr::eq(one, other) || one.workload == other.workload,
        (one, other) => one.is_none() && other.is_none(),
    }
}
