//! Mutual TLS and authorisation.

use std::net::SocketAddr;

use anyhow::{Result, bail, ensure};
use http::StatusCode;

use super::traffic::LIVE;
use crate::client::{Answer, Call};
use crate::mesh::Mesh;
use crate::shop::{PORT, Role};
use crate::story::eventually;

/// A call of a pod by its own address, as someone outside of the mesh makes it.
fn direct(mesh: &Mesh, workload: &str, path: &str) -> Result<Call> {
    let address = SocketAddr::new(mesh.get(workload)?.pod().ip(), PORT);
    Ok(Call::get(address, &address.to_string(), path))
}

pub(super) fn strict(mesh: &mut Mesh) -> Result<String> {
    let stranger = mesh.get("stranger")?.pod();
    let call = direct(mesh, "details-v1", "/details/0")?;
    let before = call.from(stranger)?;
    ensure!(before.status == StatusCode::OK, "plain text got {} under PERMISSIVE", before.status);
    mesh.apply("50-strict.yaml", include_str!("../../yaml/strict.yaml"))?;
    let mut reason = String::new();
    let live = eventually(LIVE, || match call.from(stranger) {
        Err(error) => {
            reason = format!("{:#}", error.root_cause());
            Ok(())
        }
        Ok(answer) => bail!("plain text still gets {}", answer.status),
    })?;
    let inside = mesh.call(Role::Details, "/details/0").repeat_from(mesh.get("client")?.pod(), 100)?;
    let failed = inside.iter().filter(|answer| answer.status != StatusCode::OK).count();
    mesh.remove("50-strict.yaml")?;
    ensure!(failed == 0, "{failed} of 100 calls within the mesh failed");
    Ok(format!("refused ({reason}) after {live:.1?}; 100 of 100 within the mesh succeeded"))
}

pub(super) fn policy(mesh: &mut Mesh) -> Result<String> {
    mesh.apply("51-ratings.yaml", include_str!("../../yaml/ratings-policy.yaml"))?;
    let client = mesh.get("client")?.pod();
    let call = mesh.call(Role::Ratings, "/ratings/0");
    // Every instance has to know.
    let live = eventually(LIVE, || match call.repeat_from(client, 20)?.iter().find(|answer| !is_forbidden(answer)) {
        None => Ok(()),
        Some(answer) => bail!("the client still gets {}", answer.status),
    })?;
    let refused = call.from(client)?;
    ensure!(refused.text() == "RBAC: access denied", "the refusal says {:?}", refused.text());
    let allowed = mesh.call(Role::Reviews, "/reviews/0").repeat_from(client, 60)?;
    let rated = allowed.iter().filter(|answer| answer.json()["ratings"]["status"] == 200).count();
    let unrated = allowed.iter().filter(|answer| answer.json()["version"] == "v1").count();
    mesh.remove("51-ratings.yaml")?;
    ensure!(rated > 0 && rated + unrated == 60, "{rated} of {} reviews got ratings", 60 - unrated);
    Ok(format!("client: 403; reviews: {rated} of {} got ratings; live after {live:.1?}", 60 - unrated))
}

fn is_forbidden(answer: &Answer) -> bool {
    answer.status == StatusCode::FORBIDDEN
}

pub(super) fn killed_proxy(mesh: &mut Mesh) -> Result<String> {
    let call = direct(mesh, "details-v1", "/details/0")?;
    if let Some(proxy) = mesh.get_mut("details-v1")?.proxy() {
        proxy.kill()?;
    }
    let (stranger, client) = (mesh.get("stranger")?.pod(), mesh.get("client")?.pod());
    let Err(refusal) = call.from(stranger) else { bail!("plain text reached the application") };
    let answer = mesh.call(Role::Details, "/details/0").from(client)?;
    let start = std::time::Instant::now();
    ensure!(answer.status == StatusCode::SERVICE_UNAVAILABLE, "the client got {}", answer.status);
    mesh.restart_proxy("details-v1")?;
    mesh.get("details-v1")?.wait_ready()?;
    eventually(LIVE, || match mesh.call(Role::Details, "/details/0").from(mesh.get("client")?.pod())? {
        answer if answer.status == StatusCode::OK => Ok(()),
        answer => bail!("the client still gets {}", answer.status),
    })?;
    Ok(format!("outside: {}; in the mesh: 503; back {:.1?} after a restart", refusal.root_cause(), start.elapsed()))
}
