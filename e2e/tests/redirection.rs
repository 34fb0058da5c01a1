//! `istio-init` on the real kernel: rules that redirect, that survive being applied twice, and that spare what they
//! should.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::mesh::Binaries;
use mesh_testkit::lab::{Lab, Pod, User};

const PATIENCE: Duration = Duration::from_secs(5);

/// Says loudly that nothing was tested, where namespaces cannot be made; in CI that is a failure.
fn laboratory(name: &str) -> Result<Option<Lab>> {
    match Lab::new(name) {
        Ok(lab) => Ok(Some(lab)),
        Err(error) if std::env::var_os("CI").is_none() => {
            eprintln!("SKIPPED: no network namespaces here ({error:#}); run as root");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn init(pod: &Pod, flags: &[&str]) -> Result<String> {
    pod.run(User::Root, Binaries::find()?.path("weft-cni-init"), flags)
}

/// Connects from inside and returns what the other side greets with.
fn greeting(pod: &Pod, to: SocketAddr) -> Result<String> {
    pod.inside(|| {
        let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    })
}

/// Greets the next connection on an address of the pod, from the thread's own socket.
fn greet_one(pod: &Pod, at: SocketAddr, text: &'static str) -> Result<std::thread::JoinHandle<Result<()>>> {
    let listener = pod.inside(|| TcpListener::bind(at).context("cannot listen"))?;
    Ok(std::thread::spawn(move || {
        let (mut stream, _) = listener.accept()?;
        stream.write_all(text.as_bytes())?;
        Ok(())
    }))
}

#[test]
fn redirects_both_ways_and_both_families() -> Result<()> {
    let Some(lab) = laboratory("redir")? else { return Ok(()) };
    let (pod, peer) = (lab.pod("pod", 10)?, lab.pod("peer", 11)?);

    let first = init(&pod, &["-d", "15020", "--verify"])?;
    for proof in ["IPv4 outbound", "IPv4 inbound", "IPv6 outbound", "IPv6 inbound"] {
        ensure!(first.contains(proof), "{proof} is not proven: {first}");
    }
    let again = init(&pod, &["-d", "15020"])?;
    ensure!(again.matches("in force already").count() == 2, "not idempotent: {again}");

    for any in ["0.0.0.0", "::"] {
        let outbound = greet_one(&pod, format!("[{any}]:15001").replace("[0.0.0.0]", "0.0.0.0").parse()?, "outbound")?;
        let destination =
            if any == "::" { SocketAddr::new(peer.v6().into(), 80) } else { SocketAddr::new(peer.ip(), 80) };
        ensure!(greeting(&pod, destination)? == "outbound", "{destination} was not redirected");
        outbound.join().map_err(|_| anyhow::anyhow!("the listener panicked"))??;

        let inbound = greet_one(&pod, format!("[{any}]:15006").replace("[0.0.0.0]", "0.0.0.0").parse()?, "inbound")?;
        let destination =
            if any == "::" { SocketAddr::new(pod.v6().into(), 80) } else { SocketAddr::new(pod.ip(), 80) };
        ensure!(greeting(&peer, destination)? == "inbound", "{destination} was not redirected");
        inbound.join().map_err(|_| anyhow::anyhow!("the listener panicked"))??;
    }

    let excluded = greet_one(&pod, "0.0.0.0:15020".parse()?, "excluded")?;
    ensure!(greeting(&peer, SocketAddr::new(pod.ip(), 15020))? == "excluded", "an excluded port was redirected");
    excluded.join().map_err(|_| anyhow::anyhow!("the listener panicked"))??;
    Ok(())
}

#[test]
fn changed_flags_replace_the_rules_and_cleanup_removes_them() -> Result<()> {
    let Some(lab) = laboratory("chg")? else { return Ok(()) };
    let pod = lab.pod("pod", 10)?;
    init(&pod, &["-c", "net1", "-o", "25"])?;
    init(&pod, &["-b", "80", "-x", "10.0.0.0/8,fd00::/8"])?;
    let saved = pod.run(User::Root, "iptables-save", &["-t", "nat"])?;
    for gone in ["net1", "--dport 25 "] {
        ensure!(!saved.contains(gone), "{gone} is left over in\n{saved}");
    }
    ensure!(saved.matches("-A PREROUTING").count() == 1, "hooks pile up in\n{saved}");
    ensure!(init(&pod, &["-b", "80", "-x", "10.0.0.0/8,fd00::/8"])?.matches("already").count() == 2, "not idempotent");
    init(&pod, &["--cleanup-only"])?;
    let saved = pod.run(User::Root, "iptables-save", &["-t", "nat"])?;
    ensure!(!saved.contains("ISTIO"), "left over:\n{saved}");
    Ok(())
}

#[test]
fn verification_fails_where_nothing_is_redirected() -> Result<()> {
    let Some(lab) = laboratory("ver")? else { return Ok(()) };
    let pod = lab.pod("pod", 10)?;
    let failure = init(&pod, &["--verify", "--skip-rule-apply"]).err().context("it passed without rules")?;
    ensure!(format!("{failure:?}").contains("126"), "the exit code is not Istio's: {failure:?}");
    Ok(())
}

/// The container has only the capabilities that writing rules takes.
#[test]
fn verification_makes_do_with_the_rights_of_istio_init() -> Result<()> {
    let Some(lab) = laboratory("cap")? else { return Ok(()) };
    let pod = lab.pod("pod", 10)?;
    let program = Binaries::find()?.path("weft-cni-init").display().to_string();
    let said = pod.run(User::Root, "setpriv", &["--bounding-set", "-setuid", &program, "--verify"])?;
    for proof in ["IPv4 outbound,", "IPv4 inbound (by the kernel's rules)", "IPv6 outbound,"] {
        ensure!(said.contains(proof), "{proof} is not proven: {said}");
    }
    let unproven = pod.run(User::Root, &program, &["--verify", "-i", "", "-b", "80"])?;
    ensure!(unproven.contains("nothing that is redirected can be tried"), "{unproven}");
    Ok(())
}
