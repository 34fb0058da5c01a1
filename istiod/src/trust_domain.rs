//! The trust domain that certificates are made for (`meshConfig.trustDomain`).

use anyhow::Result;
use galley::State;
use mesh_types::TrustDomain;
use tokio::sync::watch;

/// The trust domain, now and whenever the settings of the mesh change it: what proxies are told to expect changes at the
/// same moment.
pub(crate) fn follow(mut config: watch::Receiver<State>) -> Result<watch::Receiver<TrustDomain>> {
    let (sender, receiver) = watch::channel(said(&config.borrow_and_update())?);
    tokio::spawn(async move {
        while config.changed().await.is_ok() {
            let now = said(&config.borrow_and_update());
            match now {
                Ok(now) => _ = sender.send_if_modified(|held| take(held, now)),
                // It is refused when it is read; this is for whoever forgets that.
                Err(error) => tracing::error!("trustDomain: {error:#}"),
            }
        }
    });
    Ok(receiver)
}

fn said(state: &State) -> Result<TrustDomain> {
    let mesh = state.objects.mesh();
    if mesh.trust_domain.is_empty() { Ok(TrustDomain::default()) } else { Ok(mesh.trust_domain.parse()?) }
}

/// True if it is another.
fn take(held: &mut TrustDomain, now: TrustDomain) -> bool {
    if *held == now {
        return false;
    }
    tracing::warn!(
        "the trust domain is {now}, and no longer {held}: proxies that were started under {held} get no new certificate \
         until they are started anew; until then let trustDomainAliases name {held}"
    );
    *held = now;
    true
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn state(trust_domain: &str) -> State {
        let yaml = format!(
            "
apiVersion: v1
kind: ConfigMap
metadata: {{name: istio, namespace: istio-system}}
data: {{mesh: 'trustDomain: {trust_domain}'}}
"
        );
        let loaded = galley::load(&"test.yaml".into(), &yaml);
        assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
        State { objects: Arc::new(galley::Objects::new(loaded.objects)), ..State::default() }
    }

    #[tokio::test]
    async fn a_change_of_the_meshs_settings_is_followed() {
        let (sender, config) = watch::channel(State::default());
        let mut trust_domain = follow(config).unwrap();
        assert_eq!(trust_domain.borrow_and_update().as_str(), "cluster.local");
        sender.send_replace(state("a.example"));
        trust_domain.changed().await.unwrap();
        assert_eq!(trust_domain.borrow().as_str(), "a.example");
    }
}
