//! All measurements, one mesh after the other.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::edit::{self, Edit, Editor};
use super::fleet::Fleet;
use super::proxy::Style;
use super::rows::{self, Bounds};
use super::server::{self, Server};
use super::table::Table;
use super::{Arguments, world};

const SMALL: usize = 1000;
const LARGE: usize = 5000;

/// The measurements that were asked for, by name; all if none were.
struct Wanted<'a>(&'a [String]);

impl Wanted<'_> {
    fn has(&self, name: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|one| name.contains(one.as_str()))
    }
}

/// Everything that was asked for.
pub(crate) async fn all(arguments: &Arguments, table: &mut Table) -> Result<()> {
    let wanted = Wanted(&arguments.rows);
    if let (Some(address), Some(pid), Some(services), Some(command)) =
        (arguments.server, arguments.pid, arguments.services, &arguments.edit)
    {
        return other(Server::running(address, pid), services, command, &wanted, table).await;
    }
    let beside = || Ok::<_, anyhow::Error>(std::env::current_exe()?.with_file_name("istiod"));
    let istiod = arguments.istiod.clone().map_or_else(beside, Ok)?;
    if ["connect", "route", "endpoint", "reconnect"].iter().any(|name| wanted.has(&format!("{SMALL}-{name}"))) {
        let mesh = Mesh::new(&istiod, SMALL)?;
        let server = mesh.start().await?;
        table.add(rows::memory(SMALL).row(SMALL, 0, server.memory()? / 1024.0));
        let mut fleet = connect(&server, Style::OnDemand, SMALL, 200, table).await?;
        edits(&server, &mut fleet, &mesh.editor(), SMALL, &wanted, table).await?;
        if wanted.has(&format!("{SMALL}-reconnect")) {
            reconnect(&mesh, server, &mut fleet, table).await?;
        }
    }
    if wanted.has(&format!("{SMALL}-everything")) {
        let mesh = Mesh::new(&istiod, SMALL)?;
        let server = mesh.start().await?;
        connect(&server, Style::Everything, SMALL, 20, table).await?;
    }
    if ["connect", "route", "endpoint"].iter().any(|name| wanted.has(&format!("{LARGE}-{name}"))) {
        let mesh = Mesh::new(&istiod, LARGE)?;
        let server = mesh.start().await?;
        table.add(rows::memory(LARGE).row(LARGE, 0, server.memory()? / 1024.0));
        let mut fleet = connect(&server, Style::OnDemand, LARGE, 60, table).await?;
        edits(&server, &mut fleet, &mesh.editor(), LARGE, &wanted, table).await?;
        drop(fleet);
        let mut fleet = connect(&server, Style::OnDemand, LARGE, 1000, table).await?;
        edits(&server, &mut fleet, &mesh.editor(), LARGE, &wanted, table).await?;
    }
    Ok(())
}

/// Another server's rows: its proxies subscribe to everything.
async fn other(server: Server, services: usize, command: &str, wanted: &Wanted<'_>, table: &mut Table) -> Result<()> {
    let directory = TempDir::new()?;
    let editor = Editor::Command(command.to_owned(), directory.path().to_owned());
    server.rest().await?;
    table.add(rows::memory(services).row(services, 0, server.memory()? / 1024.0));
    let mut fleet = connect(&server, Style::Everything, services, 60, table).await?;
    edits(&server, &mut fleet, &editor, services, wanted, table).await
}

/// Connects proxies, and measures what that costs.
async fn connect(server: &Server, style: Style, services: usize, count: usize, table: &mut Table) -> Result<Fleet> {
    let (cpu, memory) = (server.rest().await?, server.memory()?);
    let mut fleet = Fleet::new(server.address, style, services);
    fleet.grow(count).await?;
    let cpu = (server.rest().await? - cpu) / count as f64;
    let memory = (server.memory()? - memory) / count as f64;
    let mut add = |bounds: &Bounds, measured| table.add(bounds.row(services, count, measured));
    add(if style == Style::OnDemand { &rows::CONNECT_CPU } else { &rows::STOCK_CPU }, cpu);
    if style == Style::OnDemand {
        add(&rows::CONNECT_BYTES, fleet.bytes() as f64 / 1e3 / count as f64);
        add(&rows::CONNECT_MEMORY, memory);
    }
    Ok(fleet)
}

async fn edits(
    server: &Server,
    fleet: &mut Fleet,
    editor: &Editor,
    services: usize,
    wanted: &Wanted<'_>,
    table: &mut Table,
) -> Result<()> {
    if wanted.has(&format!("{services}-route")) {
        let cost = edit::measure(server, fleet, editor, Edit::Route).await?;
        let mut add = |bounds: &Bounds, measured| table.add(bounds.row(services, fleet.len(), measured));
        add(&rows::ROUTE_TIME, cost.milliseconds);
        add(&rows::ROUTE_CPU, cost.cpu);
        add(&rows::ROUTE_BYTES, cost.bytes / 1e3);
    }
    if wanted.has(&format!("{services}-endpoint")) {
        let cost = edit::measure(server, fleet, editor, Edit::Endpoint).await?;
        let mut add = |bounds: &Bounds, measured| table.add(bounds.row(services, fleet.len(), measured));
        add(&rows::ENDPOINT_TIME, cost.milliseconds);
        add(&rows::ENDPOINT_CPU, cost.cpu);
    }
    Ok(())
}

/// Ends the control plane and starts it again: proxies come back and tell what they have.
async fn reconnect(mesh: &Mesh, server: Server, fleet: &mut Fleet, table: &mut Table) -> Result<()> {
    drop(server);
    let before = fleet.bytes();
    let _server = mesh.start().await?;
    fleet.configured(fleet.len()).await?;
    let bytes = (fleet.bytes() - before) as f64 / 1e3 / fleet.len() as f64;
    table.add(rows::RECONNECT_BYTES.row(SMALL, fleet.len(), bytes));
    Ok(())
}

/// A mesh in a directory, for istiod.
struct Mesh {
    directory: TempDir,
    istiod: PathBuf,
    address: SocketAddr,
}

impl Mesh {
    fn new(istiod: &Path, services: usize) -> Result<Self> {
        let directory = TempDir::new().context("a directory for the mesh")?;
        world::write(&directory.path().join("config"), services)?;
        Ok(Self { directory, istiod: istiod.to_owned(), address: server::free()? })
    }

    async fn start(&self) -> Result<Server> {
        let authority = self.directory.path().join("ca");
        Server::start(&self.istiod, &self.config(), &authority, self.address).await
    }

    fn config(&self) -> PathBuf {
        self.directory.path().join("config")
    }

    fn editor(&self) -> Editor {
        Editor::Directory(self.config())
    }
}
