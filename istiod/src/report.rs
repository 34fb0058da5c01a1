//! Says of every refused object what is wrong, where, and what was meant; once for each time it is read.

use std::collections::BTreeSet;

use galley::{Diagnostic, Severity, State};
use tokio::sync::watch;

/// Logs findings as they come and go.
pub(crate) fn follow(mut config: watch::Receiver<State>) {
    tokio::spawn(async move {
        let mut said: BTreeSet<Diagnostic> = BTreeSet::new();
        loop {
            let now: BTreeSet<Diagnostic> = config.borrow_and_update().diagnostics.iter().cloned().collect();
            now.difference(&said).for_each(say);
            let about = |one: &Diagnostic| (one.file.clone(), one.object.clone().filter(|_| one.file.is_empty()));
            let still: BTreeSet<_> = now.iter().map(about).collect();
            let were: BTreeSet<_> = said.iter().filter(|one| one.is_error()).map(about).collect();
            for mended in were.difference(&still) {
                match mended {
                    (_, Some(object)) => tracing::info!("{object}: mended, or gone"),
                    (file, None) => tracing::info!("{file}: mended"),
                }
            }
            said = now;
            if config.changed().await.is_err() {
                return;
            }
        }
    });
}

fn say(diagnostic: &Diagnostic) {
    match diagnostic.severity {
        Severity::Error => tracing::error!("refused: {diagnostic}"),
        Severity::Warning => tracing::warn!("{diagnostic}"),
        Severity::Info => tracing::info!("{diagnostic}"),
    }
}
