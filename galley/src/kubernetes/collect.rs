//! Puts together what the watches say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::credentials;
use super::follow::{Change, News, Reading};
use super::watches::{Watched, Watches};
use crate::across;
use crate::diagnostic::{Diagnostic, ObjectRef};
use crate::kind::Kind;
use crate::objects::Objects;
use crate::state::State;

/// States follow one another at least so far apart. The first change after a quiet time is passed on at once.
const APART: Duration = Duration::from_millis(100);

/// What was collected so far.
pub(super) struct Collector {
    watches: Watches,
    told: BTreeMap<Watched, Told>,
    objects: Objects,
    findings: BTreeMap<ObjectRef, Vec<Diagnostic>>,
    refused: BTreeMap<ObjectRef, i64>,
    changed: Changed,
}

/// What one watch has told of.
#[derive(Default)]
struct Told {
    known: BTreeSet<ObjectRef>,
    /// While everything is said again: what was said so far.
    again: Option<BTreeSet<ObjectRef>>,
    complete: bool,
}

/// What is to be published.
#[derive(Default)]
struct Changed {
    objects: bool,
    findings: bool,
    /// Gateways and what they are made of, or pods: other secrets may be needed.
    credentials: bool,
}

impl Collector {
    pub(super) fn new(watches: Watches) -> Self {
        Self {
            watches,
            told: BTreeMap::new(),
            objects: Objects::default(),
            findings: BTreeMap::new(),
            refused: BTreeMap::new(),
            changed: Changed::default(),
        }
    }

    /// Returns the first whole state, and goes on for as long as somebody listens.
    pub(super) async fn run(mut self) -> watch::Receiver<State> {
        while !self.is_complete() {
            // The watches keep a sender, so that there always is a next.
            let Some(news) = self.watches.next().await else { break };
            self.take(news);
            if self.is_complete() {
                self.follow_credentials();
            }
        }
        let (sender, receiver) = watch::channel(State::default());
        self.publish(&sender);
        tokio::spawn(self.go_on(sender));
        receiver
    }

    async fn go_on(mut self, sender: watch::Sender<State>) {
        let mut next = Instant::now();
        loop {
            let news = tokio::select! {
                news = self.watches.next() => news,
                () = sender.closed() => return,
            };
            let Some(news) = news else { return };
            self.take(news);
            while let Ok(Some(news)) = timeout_at(next, self.watches.next()).await {
                self.take(news);
            }
            self.follow_credentials();
            if self.publish(&sender) {
                next = Instant::now() + APART;
            }
        }
    }

    fn is_complete(&self) -> bool {
        self.watches.running().all(|watched| self.told.get(watched).is_some_and(|told| told.complete))
    }

    fn take(&mut self, news: News) {
        if !self.watches.runs(&news.of) {
            return;
        }
        let told = self.told.entry(news.of).or_default();
        match news.event {
            Change::Again => told.again = Some(BTreeSet::new()),
            Change::Is(reading) => {
                told.known.insert(reading.reference.clone());
                if let Some(again) = &mut told.again {
                    again.insert(reading.reference.clone());
                }
                self.is(reading);
            }
            Change::Gone(reference) => {
                if told.known.remove(&reference) {
                    self.gone(&reference);
                }
            }
            Change::Complete => {
                told.complete = true;
                let again = told.again.take().unwrap_or_default();
                let known = std::mem::replace(&mut told.known, again);
                let lost: Vec<ObjectRef> = known.difference(&told.known).cloned().collect();
                lost.iter().for_each(|reference| self.gone(reference));
            }
        }
    }

    /// An object's newest version: in force if it is good, or else its last good version stays.
    fn is(&mut self, reading: Reading) {
        let Reading { reference, generation, said } = reading;
        let settings = settings_of(&reference);
        let speaks_of = |one: &ObjectRef| {
            said.refused.contains(one) || said.objects.iter().any(|object| object.reference() == *one)
        };
        if let Some(settings) = settings.filter(|settings| !speaks_of(settings)) {
            self.changed.objects |= self.objects.remove(&settings);
            self.changed.findings |= self.refused.remove(&settings).is_some();
        }
        for object in said.objects {
            self.note(object.kind());
            self.changed.findings |= self.refused.remove(&object.reference()).is_some();
            self.changed.objects |= self.objects.insert(object);
        }
        for refused in said.refused {
            self.changed.findings |= self.refused.insert(refused, generation) != Some(generation);
        }
        self.find(&reference, said.diagnostics);
    }

    fn gone(&mut self, reference: &ObjectRef) {
        self.note(reference.kind);
        for reference in settings_of(reference).iter().chain([reference]) {
            self.changed.objects |= self.objects.remove(reference);
            self.changed.findings |= self.refused.remove(reference).is_some();
        }
        self.find(reference, Vec::new());
    }

    fn find(&mut self, reference: &ObjectRef, findings: Vec<Diagnostic>) {
        let before = self.findings.get(reference).map(Vec::as_slice).unwrap_or_default();
        if before == findings {
            return;
        }
        self.changed.findings = true;
        if findings.is_empty() {
            self.findings.remove(reference);
        } else {
            self.findings.insert(reference.clone(), findings);
        }
    }

    fn note(&mut self, kind: Kind) {
        self.changed.credentials |=
            matches!(kind, Kind::Gateway | Kind::Ingress | Kind::IngressClass | Kind::ConfigMap | Kind::Pod);
    }

    /// Watches the secrets that are needed now, and no others.
    fn follow_credentials(&mut self) {
        if !std::mem::take(&mut self.changed.credentials) {
            return;
        }
        let needed = credentials::needed(&self.objects);
        let running = self.watches.running().filter(|watched| watched.kind == Kind::Secret);
        let over: Vec<Watched> = running.filter(|watched| !needed.contains(watched)).cloned().collect();
        for watched in over {
            self.watches.stop(&watched);
            let told = self.told.remove(&watched).unwrap_or_default();
            told.known.iter().for_each(|reference| self.gone(reference));
        }
        needed.into_iter().for_each(|watched| self.watches.start(watched));
    }

    /// Publishes what is new. True if anything was.
    fn publish(&mut self, sender: &watch::Sender<State>) -> bool {
        let changed = std::mem::take(&mut self.changed);
        if !changed.objects && !changed.findings {
            return false;
        }
        sender.send_modify(|state| {
            let across = !across::same(&state.objects, &self.objects);
            if changed.objects {
                state.objects = Arc::new(self.objects.clone());
            }
            if changed.findings || across {
                let own = self.findings.values().flatten().cloned();
                state.diagnostics = own.chain(across::findings(&self.objects)).collect();
            }
            if changed.findings {
                state.refused = Arc::new(self.refused.clone());
            }
        });
        true
    }
}

/// The mesh's settings, which are read from a ConfigMap beside the ConfigMap itself.
fn settings_of(reference: &ObjectRef) -> Option<ObjectRef> {
    (reference.kind == Kind::ConfigMap).then(|| ObjectRef { kind: Kind::MeshConfig, ..reference.clone() })
}
