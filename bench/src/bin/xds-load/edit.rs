//! Edits, and how long and how much they take.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};
use tokio::time::Instant;

use super::fleet::Fleet;
use super::server::Server;
use super::world;

/// Each edit is made so often.
const ROUNDS: usize = 5;

/// What is edited.
#[derive(Clone, Copy)]
pub(crate) enum Edit {
    /// A VirtualService: a header that it sets.
    Route,
    /// An EndpointSlice: the first endpoint's address.
    Endpoint,
}

/// How edits are made.
pub(crate) enum Editor {
    /// By writing into the directory that istiod reads.
    Directory(PathBuf),
    /// By a command of the user's, which is told of a file.
    Command(String, PathBuf),
}

/// What one edit took.
pub(crate) struct Cost {
    /// From the end of the write to the arrival at the last proxy, decoded; the median.
    pub(crate) milliseconds: f64,
    /// Of the control plane, for each proxy.
    pub(crate) cpu: f64,
    /// Of responses, to each proxy.
    pub(crate) bytes: f64,
}

impl Editor {
    fn apply(&self, edit: Edit, marker: &str) -> Result<()> {
        let (file, text) = match edit {
            Edit::Route => ("virtual-service.yaml", world::virtual_service(marker)),
            Edit::Endpoint => ("endpoints.yaml", world::endpoints(world::EDITED, marker)),
        };
        match self {
            Self::Directory(directory) => world::put(directory, file, &text),
            Self::Command(command, directory) => {
                world::put(directory, file, &text)?;
                run(command, &directory.join(file))
            }
        }
    }
}

/// Edits, each time when the control plane is at rest. Every proxy's application calls the edited service.
pub(crate) async fn measure(server: &Server, fleet: &mut Fleet, editor: &Editor, edit: Edit) -> Result<Cost> {
    let (mut times, mut cpu, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let marker = match edit {
            Edit::Route => format!("edit-{}-{round}", fleet.len()),
            Edit::Endpoint => format!("10.200.{}.{}", fleet.len() / 10, round + 100),
        };
        let (before, sent) = (server.rest().await?, fleet.bytes());
        fleet.look_for(&marker);
        editor.apply(edit, &marker)?;
        let edited = Instant::now();
        let last = fleet.last_arrival().await?;
        times.push((last - edited).as_secs_f64() * 1e3);
        cpu.push((server.rest().await? - before) / fleet.len() as f64);
        bytes.push((fleet.bytes() - sent) as f64 / fleet.len() as f64);
    }
    Ok(Cost { milliseconds: median(times), cpu: median(cpu), bytes: median(bytes) })
}

fn run(command: &str, file: &Path) -> Result<()> {
    let status = Command::new("sh").args(["-c", command]).env("FILE", file).status()?;
    if !status.success() {
        bail!("the edit `{command}` failed: {status}");
    }
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
