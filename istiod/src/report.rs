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
            for gone in
                said.difference(&now).filter(|one| one.is_error() && !now.iter().any(|other| other.file == one.file))
            {
                tracing::info!("{}: mended", gone.file);
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
