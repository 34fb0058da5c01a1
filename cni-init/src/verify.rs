//! Proof from inside the pod that connections are redirected: real connections, and the kernel's own word for where
//! they were meant to go. Run it before the proxy starts, since it listens on the proxy's ports.
//!
//! Only what the proxy's user sends to its own pod goes the way in. Where we may not be that user, as in a container
//! without `CAP_SETUID`, the way in is known by the rules alone, which [`crate::apply`] has read back from the kernel.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use ipnet::IpNet;
use socket2::SockRef;

use crate::settings::{Only, Settings};

/// The port that the probes dial; nothing has to listen there (Istio's probe port).
const PROBE_PORT: u16 = 15002;
/// How long a probe may take to arrive.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connects out as an application would, and in as the proxy does towards its own pod, and checks for both that the
/// connection reaches the capture port with its destination remembered. Returns a sentence for the log.
pub fn verify(settings: &Settings) -> Result<String> {
    if !settings.intercept {
        return Ok("interception mode is NONE: nothing to verify".to_owned());
    }
    let mut proven = Vec::new();
    for own in own_addresses() {
        let family = if own.is_ipv4() { "IPv4" } else { "IPv6" };
        if let Some(destination) = outbound_destination(settings, own) {
            outbound(settings, destination).with_context(|| format!("{family} outbound is not redirected"))?;
            proven.push(format!("{family} outbound"));
        }
        if settings.inbound_ports == Only::All {
            let probed = inbound(settings, own).with_context(|| format!("{family} inbound is not redirected"))?;
            proven.push(format!("{family} inbound{}", if probed { "" } else { " (by the kernel's rules)" }));
        }
    }
    if proven.is_empty() {
        return Ok("nothing that is redirected can be tried from here: the kernel's rules are as asked for".to_owned());
    }
    Ok(format!("redirection verified: {}", proven.join(", ")))
}

/// The hidden second half of the inbound probe: runs as the proxy's user, connects and exits.
pub fn client(destination: SocketAddr) -> ExitCode {
    match TcpStream::connect_timeout(&destination, PATIENCE) {
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn outbound(settings: &Settings, destination: SocketAddr) -> Result<()> {
    let listener = listen(destination.is_ipv4(), settings.outbound_port)?;
    let probe = std::thread::spawn(move || TcpStream::connect_timeout(&destination, PATIENCE));
    let meant_for = accepted_destination(&listener);
    let dialled = probe.join().map_err(|_| anyhow::anyhow!("the probe died"))?;
    expect(meant_for, destination, dialled.err())
}

/// False if we may not be the proxy's user.
fn inbound(settings: &Settings, own: IpAddr) -> Result<bool> {
    let Some(uid) = settings.uids.first() else { bail!("no proxy user is given") };
    let destination = SocketAddr::new(own, PROBE_PORT);
    let listener = listen(own.is_ipv4(), settings.inbound_port)?;
    let mut probe = Command::new(std::env::current_exe()?);
    let mut probe = match probe.arg(format!("--verify-inbound-client={destination}")).uid(*uid).spawn() {
        Ok(probe) => probe,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && !settings.skip_rule_apply => return Ok(false),
        Err(error) => return Err(error).context("cannot start a probe as the proxy's user; this needs CAP_SETUID"),
    };
    let meant_for = accepted_destination(&listener);
    finish(&mut probe);
    expect(meant_for, destination, None).map(|()| true)
}

fn finish(probe: &mut Child) {
    if probe.try_wait().is_ok_and(|status| status.is_none()) {
        // The probe has been accepted or has timed out: either way its answer is known.
        let _ = probe.kill();
    }
    let _ = probe.wait();
}

fn expect(meant_for: Result<SocketAddr>, destination: SocketAddr, dialling: Option<io::Error>) -> Result<()> {
    match (meant_for, dialling) {
        (Ok(meant_for), _) if meant_for == destination => Ok(()),
        (Ok(meant_for), _) => bail!("a connection to {destination} arrived as one to {meant_for}"),
        (Err(error), Some(dialling)) => Err(error.context(format!("connecting to {destination}: {dialling}"))),
        (Err(error), None) => Err(error.context(format!("connecting to {destination}"))),
    }
}

fn listen(v4: bool, port: u16) -> Result<TcpListener> {
    let any: IpAddr = if v4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let listener = TcpListener::bind((any, port))
        .with_context(|| format!("cannot listen on {port}; is the proxy running already? verify before it starts"))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn accepted_destination(listener: &TcpListener) -> Result<SocketAddr> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match listener.accept() {
            Ok((stream, peer)) => {
                let socket = SockRef::from(&stream);
                let original = if peer.is_ipv4() { socket.original_dst_v4() } else { socket.original_dst_v6() };
                let original = original.context("the kernel has no original destination for the connection")?;
                return original.as_socket().context("the original destination is no IP address");
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if Instant::now() >= deadline {
                    bail!("nothing arrived at the capture port within {PATIENCE:?}");
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// A destination that the rules redirect: somewhere unassigned, or in the first redirected network.
fn outbound_destination(settings: &Settings, own: IpAddr) -> Option<SocketAddr> {
    let address = match &settings.outbound_networks {
        // Addresses for documentation (RFC 5737, RFC 3849): routed like any other, assigned to nobody.
        Only::All if own.is_ipv4() => IpAddr::from([192, 0, 2, 1]),
        Only::All => "2001:db8::1".parse().ok()?,
        Only::These(networks) => networks.iter().find(|network| network.addr().is_ipv4() == own.is_ipv4())?.addr(),
    };
    let excluded = settings.outbound_exclude_networks.iter().any(|network: &IpNet| network.contains(&address))
        || settings.outbound_exclude_ports.contains(&PROBE_PORT)
        || !settings.exclude_interfaces.is_empty();
    (!excluded).then(|| SocketAddr::new(address, PROBE_PORT))
}

/// The pod's own addresses, one a family: the source the kernel would use to go out.
fn own_addresses() -> Vec<IpAddr> {
    let source = |bind: &str, towards: &str| -> Option<IpAddr> {
        let socket = UdpSocket::bind(bind).ok()?;
        socket.connect(towards).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    [source("0.0.0.0:0", "192.0.2.1:9"), source("[::]:0", "[2001:db8::1]:9")].into_iter().flatten().collect()
}
