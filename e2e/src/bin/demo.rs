//! The demo: opens the shop, walks through what a mesh does, and closes. With `--keep` it stays open.

use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use e2e::mesh::{INGRESS_PORT, Mesh};
use e2e::scenario;
use e2e::story::Story;
use mesh_testkit::lab::{Privilege, become_root};
use tokio::signal::unix::{SignalKind, signal};

#[derive(Parser, Clone)]
#[command(name = "cargo xtask demo", about = "A mesh on this machine, from one command")]
struct Arguments {
    /// Stay up after the walk, until Ctrl-C.
    #[arg(long)]
    keep: bool,
    /// Instead of the walk, replace all instances of `reviews` so many times under load.
    #[arg(long, value_name = "TIMES")]
    restarts: Option<usize>,
    /// Keep the run's files (logs, configuration) afterwards.
    #[arg(long)]
    keep_files: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match become_root().and_then(|privilege| supervise(&arguments, privilege)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The walk runs on a thread; this one waits for its end or for Ctrl-C. Everything that the walk made is removed by
/// whoever is last: on Ctrl-C the processes are ended and the namespaces deleted under the walk's feet.
fn supervise(arguments: &Arguments, privilege: Privilege) -> Result<bool> {
    let interrupted = interruption()?;
    let (done, walk) = mpsc::channel();
    let (keep, told) = (arguments.keep, arguments.clone());
    std::thread::spawn(move || {
        let _ = done.send(run(&told, privilege));
    });
    loop {
        if interrupted.try_recv().is_ok() {
            println!("\nClosing the shop");
            mesh_testkit::lab::remove_all();
            return Ok(keep);
        }
        match walk.recv_timeout(Duration::from_millis(50)) {
            Ok(result) => return result,
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => anyhow::bail!("the walk died"),
        }
    }
}

fn run(arguments: &Arguments, privilege: Privilege) -> Result<bool> {
    let mut story = Story::default();
    let mut mesh = scenario::open("demo", &story)?;
    if arguments.keep_files {
        story.say(format_args!("Files: {}", mesh.lab.keep_files().display()));
    }
    let passed = match arguments.restarts {
        None => scenario::walk(&mut mesh, &mut story),
        Some(times) => {
            story.step("Rolling restarts under load", "no call fails", || scenario::restart_all(&mut mesh, times));
            story.close()
        }
    };
    if arguments.keep {
        invite(&mesh, &story, privilege)?;
        loop {
            std::thread::park();
        }
    }
    Ok(passed)
}

/// Tells how to call the shop and how to change it.
fn invite(mesh: &Mesh, story: &Story, privilege: Privilege) -> Result<()> {
    let gateway = mesh.get("ingress")?.pod().ip();
    let (outside, client) = (mesh.lab.outside(), mesh.get("client")?.pod());
    let enter = match privilege {
        Privilege::Root => "sudo ip netns exec".to_owned(),
        Privilege::UserNamespace => {
            format!("nsenter --preserve-credentials --user --mount --net --target {} ip netns exec", std::process::id())
        }
    };
    story.say(format_args!(
        "
The shop stays open until Ctrl-C.

  Call it from outside, through the gateway:
    {enter} {} curl -H 'host: shop.example.com' http://{gateway}:{INGRESS_PORT}/productpage
  Call a service as an application in a pod does:
    {enter} {} curl --resolve reviews:9080:{} http://reviews:9080/reviews/0
  See what a proxy knows:
    {enter} {} curl http://localhost:15000/config_dump
  The YAML is in {}: edit it, and it takes effect at once.
  Logs are beside it, in a directory for each pod.",
        outside.namespace(),
        client.namespace(),
        e2e::mesh::service_ip(e2e::shop::Role::Reviews),
        client.namespace(),
        mesh.config().display(),
    ));
    Ok(())
}

/// Receives once Ctrl-C or SIGTERM comes.
fn interruption() -> Result<mpsc::Receiver<()>> {
    let (sender, receiver) = mpsc::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            let (Ok(mut interrupt), Ok(mut terminate)) =
                (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
            else {
                return;
            };
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
            let _ = sender.send(());
        });
    });
    Ok(receiver)
}
