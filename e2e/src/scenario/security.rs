//! Mutual TLS and authorisation.

use anyhow::{Result, bail, ensure};
use http::StatusCode;

use super::traffic::{LIVE, reviews};
use crate::client::Answer;
use crate::mesh::Mesh;
use crate::place::{Ask, Caller, Place, Unanswered};
use crate::shop::Role;
use crate::story::eventually;

/// A call of a pod by its own address, as someone outside of the mesh makes it.
fn direct() -> Ask {
    Ask::workload("details-v1", "/details/0")
}

fn details() -> Ask {
    Ask::service(Role::Details, "/details/0")
}

pub(super) fn strict(place: &dyn Place) -> Result<String> {
    let call = direct();
    let before = place.ask_once(Caller::Stranger, &call)?;
    ensure!(before.status == StatusCode::OK, "plain text got {} under PERMISSIVE", before.status);
    place.apply("50-strict.yaml", include_str!("../../yaml/strict.yaml"))?;
    let mut reason = String::new();
    let live = eventually(LIVE, || match place.ask_once(Caller::Stranger, &call) {
        Err(error) => {
            reason = error.downcast::<Unanswered>()?.to_string();
            Ok(())
        }
        Ok(answer) => bail!("plain text still gets {}", answer.status),
    })?;
    let inside = place.ask(Caller::Client, &details(), 100)?;
    let failed = inside.iter().filter(|answer| answer.status != StatusCode::OK).count();
    place.remove("50-strict.yaml")?;
    ensure!(failed == 0, "{failed} of 100 calls within the mesh failed");
    Ok(format!("refused ({reason}) after {live:.1?}; 100 of 100 within the mesh succeeded"))
}

pub(super) fn policy(place: &dyn Place) -> Result<String> {
    place.apply("51-ratings.yaml", include_str!("../../yaml/ratings-policy.yaml"))?;
    let call = Ask::service(Role::Ratings, "/ratings/0");
    // Every instance has to know.
    let live =
        eventually(LIVE, || match place.ask(Caller::Client, &call, 20)?.iter().find(|answer| !is_forbidden(answer)) {
            None => Ok(()),
            Some(answer) => bail!("the client still gets {}", answer.status),
        })?;
    let refused = place.ask_once(Caller::Client, &call)?;
    ensure!(refused.text() == "RBAC: access denied", "the refusal says {:?}", refused.text());
    let allowed = place.ask(Caller::Client, &reviews(), 60)?;
    let rated = allowed.iter().filter(|answer| answer.json()["ratings"]["status"] == 200).count();
    let unrated = allowed.iter().filter(|answer| answer.json()["version"] == "v1").count();
    place.remove("51-ratings.yaml")?;
    ensure!(rated > 0 && rated + unrated == 60, "{rated} of {} reviews got ratings", 60 - unrated);
    Ok(format!("client: 403; reviews: {rated} of {} got ratings; live after {live:.1?}", 60 - unrated))
}

fn is_forbidden(answer: &Answer) -> bool {
    answer.status == StatusCode::FORBIDDEN
}

pub(super) fn killed_proxy(mesh: &mut Mesh) -> Result<String> {
    if let Some(proxy) = mesh.get_mut("details-v1")?.proxy() {
        proxy.kill()?;
    }
    let Err(refusal) = mesh.ask_once(Caller::Stranger, &direct()) else { bail!("plain text reached the application") };
    let answer = mesh.ask_once(Caller::Client, &details())?;
    let start = std::time::Instant::now();
    ensure!(answer.status == StatusCode::SERVICE_UNAVAILABLE, "the client got {}", answer.status);
    mesh.restart_proxy("details-v1")?;
    mesh.get("details-v1")?.wait_ready()?;
    eventually(LIVE, || match mesh.ask_once(Caller::Client, &details())? {
        answer if answer.status == StatusCode::OK => Ok(()),
        answer => bail!("the client still gets {}", answer.status),
    })?;
    Ok(format!("outside: {}; in the mesh: 503; back {:.1?} after a restart", refusal.root_cause(), start.elapsed()))
}
