//! Sockets: each worker has its own for every address, and the kernel spreads connections over them. An update of the
//! configuration opens and closes sockets, never connections.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use hashbrown::HashMap;
use mesh_runtime::Blocker;
use mesh_types::Name;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::serve;
use crate::model::{ListenerKind, Snapshot};
use crate::worker::Worker;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 4096;
/// Wait after a failed accept, such as for want of file descriptors, and before an address is tried again.
const PAUSE: Duration = Duration::from_millis(500);

type Key = (Name, SocketAddr);

/// Keeps this worker's sockets as the configuration says, until the thread ends. They stay open while the process drains:
/// callers that have not heard yet must not meet a closed door (P05). `blocker` is dropped once the first configuration's
/// sockets are open; a gateway's port that cannot be opened holds up nothing but itself.
pub async fn listen(worker: Rc<Worker>, blocker: Blocker) {
    let mut blocker = Some(blocker);
    let mut version = worker.config.watch_version();
    let mut open: HashMap<Key, JoinHandle<()>> = HashMap::new();
    loop {
        let snapshot = worker.snapshot();
        let wanted = wanted(&snapshot);
        open.retain(|key, task| {
            let stays = wanted.contains(key) && !task.is_finished();
            if !stays {
                task.abort();
            }
            stays
        });
        let (mut failed, mut captures) = (false, true);
        for key in wanted {
            if !open.contains_key(&key) {
                match bind(key.1) {
                    Ok(listener) => {
                        let task = tokio::task::spawn_local(accept(worker.clone(), key.0.clone(), listener));
                        open.insert(key, task);
                    }
                    // A kernel without this family has no callers of it either.
                    Err(error) if error.raw_os_error() == Some(nix::libc::EAFNOSUPPORT) => {}
                    Err(error) => {
                        failed = true;
                        captures &= is_gateways(&snapshot, &key.0);
                        tracing::error!(listener = %key.0, address = %key.1, "cannot listen: {error}");
                    }
                }
            }
        }
        if snapshot.version > 0 && captures {
            blocker.take();
        }
        tokio::select! {
            changed = version.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(PAUSE), if failed => {}
        }
    }
}

fn is_gateways(snapshot: &Snapshot, listener: &Name) -> bool {
    snapshot.listeners.get(listener).is_some_and(|listener| listener.kind == ListenerKind::Gateway)
}

fn wanted(snapshot: &Snapshot) -> Vec<Key> {
    let bound = snapshot.listeners.values().filter(|listener| listener.bind);
    bound.flat_map(|listener| listener.addresses.iter().map(|address| (listener.name.clone(), *address))).collect()
}

/// IPv6 sockets take IPv6 alone, so that both families can be bound to one port. Small answers of what is accepted do not
/// wait for the acknowledgement of others: on Linux a connection has this of the socket that accepts it, without a call.
fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

async fn accept(worker: Rc<Worker>, name: Name, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => {
                let worker = worker.clone();
                let name = name.clone();
                tokio::task::spawn_local(async move {
                    let _running = worker.drain.guard();
                    if let Err(reason) = serve::connection(&worker, &name, socket, peer).await {
                        tracing::debug!(listener = %name, %peer, "{reason}");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(listener = %name, "cannot accept: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn what_is_accepted_sends_at_once() {
        let listener = bind(([127, 0, 0, 1], 0).into()).unwrap();
        let _caller = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        assert!(listener.accept().await.unwrap().0.nodelay().unwrap());
    }
}
