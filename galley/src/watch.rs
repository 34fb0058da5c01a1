//! A directory of YAML, read and watched. A bad object never disturbs the good ones, and its last good version stays in
//! force.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RenameMode};
use notify::{Event, EventKind, RecursiveMode, Watcher};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::across;
use crate::diagnostic::{Code, Diagnostic, ObjectRef, Severity};
use crate::load::{ByName, Loaded, load};
use crate::state::State;

/// Without any news the directory is looked at this often: some file systems tell nothing.
const RESCAN: Duration = Duration::from_secs(10);
/// States follow one another at least so far apart, and a file that is being written is waited for so long. The first
/// change after a quiet time is taken at once.
const APART: Duration = Duration::from_millis(20);
/// A file's time of change tells of changes once it is so old: clocks of file systems are coarse.
const COARSE: Duration = Duration::from_secs(2);
/// A file larger than this is refused.
const LARGEST: u64 = 64 * 1024 * 1024;

/// A directory as it was read last.
pub struct Directory {
    path: PathBuf,
    files: BTreeMap<Arc<Path>, File>,
    /// The files in which an object stands. The first one counts.
    places: BTreeMap<ObjectRef, BTreeSet<Arc<Path>>>,
    /// Those that stand in more than one.
    several: BTreeSet<ObjectRef>,
    /// What is to be said of all objects together.
    findings: Vec<Diagnostic>,
    state: State,
}

/// A file: what tells that it changed, what it said, and the good objects that it gives.
struct File {
    stamp: Option<Stamp>,
    content: u64,
    diagnostics: Vec<Diagnostic>,
    refused: Vec<ObjectRef>,
    objects: ByName,
}

/// By what an unchanged file is known without being read. Nobody can set a time of change back.
#[derive(PartialEq, Eq)]
struct Stamp {
    inode: u64,
    length: u64,
    changed: Duration,
}

impl Directory {
    /// A directory that was not read yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            files: BTreeMap::new(),
            places: BTreeMap::new(),
            several: BTreeSet::new(),
            findings: Vec::new(),
            state: State::default(),
        }
    }

    /// Reads what changed. True if the state did.
    ///
    /// # Errors
    /// If the directory cannot be listed.
    pub fn read(&mut self) -> std::io::Result<bool> {
        let mut found = Vec::new();
        list(&self.path, &mut found)?;
        found.sort();
        let mut changed = false;
        let mut concerned = BTreeSet::new();
        let lost: Vec<Arc<Path>> = self
            .files
            .keys()
            .filter(|path| found.binary_search_by(|one| (**one).cmp(path)).is_err())
            .cloned()
            .collect();
        for path in lost {
            changed = true;
            self.replace(&path, None, &mut concerned);
        }
        for path in found {
            changed |= self.read_file(&path, &mut concerned);
        }
        if changed {
            self.settle(&concerned);
        }
        Ok(changed)
    }

    /// The newest state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Reads a file if it changed, and says which objects that concerns.
    fn read_file(&mut self, path: &Path, concerned: &mut BTreeSet<ObjectRef>) -> bool {
        let held = self.files.get(path);
        let data = std::fs::metadata(path);
        let stamp = data.as_ref().ok().and_then(Stamp::of);
        if stamp.is_some() && held.is_some_and(|file| file.stamp == stamp) {
            return false;
        }
        let name: Arc<str> = path.strip_prefix(&self.path).unwrap_or(path).display().to_string().into();
        let text = data.and_then(|data| {
            if data.len() > LARGEST {
                return Err(std::io::Error::other(format!("has more than {LARGEST} bytes")));
            }
            std::fs::read_to_string(path)
        });
        let content = text.as_ref().map(hash).unwrap_or_default();
        let said = match text {
            Ok(_) if held.is_some_and(|file| file.content == content) => {
                if let Some(file) = self.files.get_mut(path) {
                    file.stamp = stamp;
                }
                return false;
            }
            Ok(text) => load(&name, &text),
            // It went between listing and reading: the next round sees it.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return false,
            Err(error) => unreadable(&name, &error),
        };
        let none = ByName::new();
        let last = held.map_or(&none, |file| &file.objects);
        let mut objects = if said.unreadable { last.clone() } else { ByName::new() };
        for refused in &said.refused {
            if let Some(good) = last.get(refused) {
                objects.insert(refused.clone(), good.clone());
            }
        }
        objects.extend(said.objects.into_iter().map(|object| (object.reference(), object)));
        let file = File { stamp, content, diagnostics: said.diagnostics, refused: said.refused, objects };
        self.replace(&path.into(), Some(file), concerned);
        true
    }

    /// Puts a file in the place of what it was, and says which objects that concerns.
    fn replace(&mut self, path: &Arc<Path>, file: Option<File>, concerned: &mut BTreeSet<ObjectRef>) {
        for reference in file.iter().flat_map(|file| file.objects.keys()) {
            let places = self.places.entry(reference.clone()).or_default();
            places.insert(path.clone());
            if places.len() > 1 {
                self.several.insert(reference.clone());
            }
            concerned.insert(reference.clone());
        }
        let stays = |reference: &ObjectRef| file.as_ref().is_some_and(|file| file.objects.contains_key(reference));
        let before = self.files.remove(path).map(|file| file.objects).unwrap_or_default();
        for reference in before.into_keys().filter(|reference| !stays(reference)) {
            if let Some(places) = self.places.get_mut(&reference) {
                places.remove(path);
                if places.len() < 2 {
                    self.several.remove(&reference);
                }
                if places.is_empty() {
                    self.places.remove(&reference);
                }
            }
            concerned.insert(reference);
        }
        if let Some(file) = file {
            self.files.insert(path.clone(), file);
        }
    }

    /// Joins the files, where these objects may be others; of an object in two files the first one counts.
    fn settle(&mut self, concerned: &BTreeSet<ObjectRef>) {
        let mut objects = (*self.state.objects).clone();
        let mut changed = false;
        for reference in concerned {
            let first = self.places.get(reference).and_then(|places| places.first());
            let object = first.and_then(|path| self.files.get(path)).and_then(|file| file.objects.get(reference));
            changed |= match object {
                Some(object) => objects.insert(object.clone()),
                None => objects.remove(reference),
            };
        }
        if !across::same(&objects, &self.state.objects) {
            self.findings = across::findings(&objects);
        }
        if changed {
            self.state.objects = Arc::new(objects);
        }
        let own = self.files.values().flat_map(|file| &file.diagnostics).cloned();
        self.state.diagnostics = own.chain(self.duplicates()).chain(self.findings.iter().cloned()).collect();
        let refused = self.files.values().flat_map(|file| &file.refused);
        self.state.refused = Arc::new(refused.map(|reference| (reference.clone(), 0)).collect());
    }

    /// What is to be said of objects that stand in more than one file.
    fn duplicates(&self) -> impl Iterator<Item = Diagnostic> {
        let several = self.several.iter().filter_map(|reference| self.places.get_key_value(reference));
        several.flat_map(|(reference, places)| {
            let in_file = |path: &Arc<Path>| Some(&self.files.get(path)?.objects.get(reference)?.meta().source);
            let mut sources = places.iter().filter_map(in_file);
            let first = sources.next();
            sources.map(move |source| Diagnostic {
                file: source.file.clone(),
                position: source.position,
                severity: Severity::Error,
                code: Code::Duplicate,
                object: Some(reference.clone()),
                path: String::new(),
                message: format!("stands in {} already; this one is ignored", first.unwrap_or(source)),
            })
        })
    }
}

impl Stamp {
    /// `None` if the file may change without being told apart by it.
    fn of(data: &std::fs::Metadata) -> Option<Self> {
        let (seconds, nanoseconds) = (data.ctime().try_into().ok()?, data.ctime_nsec().try_into().ok()?);
        let changed = Duration::new(seconds, nanoseconds);
        let is_old = (UNIX_EPOCH + changed).elapsed().is_ok_and(|age| age > COARSE);
        is_old.then(|| Self { inode: data.ino(), length: data.len(), changed })
    }
}

fn hash(text: &String) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// Reads a directory and follows it, for as long as somebody listens.
///
/// # Errors
/// If the directory cannot be read at the start.
pub fn watch_directory(path: &Path) -> std::io::Result<watch::Receiver<State>> {
    let mut directory = Directory::new(path);
    directory.read()?;
    let (sender, receiver) = watch::channel(directory.state().clone());
    let (news, mut heard) = mpsc::channel::<()>(1);
    let written = Arc::new(AtomicBool::new(true));
    let mut writing = Writing { written: written.clone(), paths: BTreeSet::new() };
    let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if event.is_ok_and(|event| !writing.take(event)) {
            return;
        }
        // One piece of news that waits is as good as many.
        let _ = news.try_send(());
    });
    let watching = watcher.and_then(|mut watcher| watcher.watch(path, RecursiveMode::Recursive).map(|()| watcher));
    let watcher = watching
        .map_err(|error| tracing::warn!("{}: no news of changes ({error}); looking every {RESCAN:?}", path.display()))
        .ok();
    tokio::spawn(async move {
        let _watcher = watcher;
        let mut next = Instant::now();
        loop {
            tokio::select! {
                news = heard.recv() => if news.is_none() { tokio::time::sleep(RESCAN).await },
                () = tokio::time::sleep(RESCAN) => {}
                () = sender.closed() => return,
            }
            tokio::time::sleep_until(next).await;
            if !written.load(Ordering::Acquire) {
                tokio::time::sleep(APART).await;
            }
            match directory.read() {
                Ok(true) => {
                    sender.send_replace(directory.state().clone());
                    next = Instant::now() + APART;
                }
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!("{}: {error}; what was read last stays in force", directory.path.display())
                }
            }
        }
    });
    Ok(receiver)
}

/// Which files are being written, as far as the system tells.
struct Writing {
    /// None is.
    written: Arc<AtomicBool>,
    paths: BTreeSet<PathBuf>,
}

impl Writing {
    /// Takes news; false for what changes nothing, such as our own reading and what happens to hidden files.
    fn take(&mut self, event: Event) -> bool {
        if !event.paths.is_empty() && event.paths.iter().all(|path| is_hidden(path)) {
            return false;
        }
        match event.kind {
            // Of both names was told before, one by one.
            EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => return false,
            EventKind::Access(AccessKind::Close(AccessMode::Write))
            | EventKind::Modify(ModifyKind::Name(_))
            | EventKind::Remove(_) => self.paths.retain(|path| !event.paths.contains(path)),
            EventKind::Access(_) => return false,
            // Nobody writes a link.
            EventKind::Create(CreateKind::File) | EventKind::Modify(ModifyKind::Data(_)) => {
                self.paths.extend(event.paths.into_iter().filter(|path| !path.is_symlink()));
            }
            _ => {}
        }
        self.written.store(self.paths.is_empty(), Ordering::Release);
        true
    }
}

/// YAML files, without hidden ones: editors and atomic writes leave those behind for a moment.
fn list(directory: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        let yaml =
            path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml" || extension == "json");
        if is_hidden(&path) {
            continue;
        }
        let is_directory = |kind: std::fs::FileType| kind.is_dir() || (kind.is_symlink() && path.is_dir());
        if entry.file_type().is_ok_and(is_directory) {
            list(&path, found)?;
        } else if yaml {
            found.push(path);
        }
    }
    Ok(())
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn unreadable(file: &Arc<str>, error: &std::io::Error) -> Loaded {
    let diagnostic = Diagnostic {
        file: file.clone(),
        position: crate::node::Position::default(),
        severity: Severity::Error,
        code: Code::Unreadable,
        object: None,
        path: String::new(),
        message: format!("cannot be read: {error}"),
    };
    Loaded { unreadable: true, diagnostics: vec![diagnostic], ..Loaded::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec:\n  clusterIP: 10.0.0.1\n  ports: [{port: 80, name: http}]\n";

    fn names(directory: &Directory) -> Vec<String> {
        directory.state().objects.services.keys().map(|key| key.name.to_string()).collect()
    }

    #[test]
    fn bad_objects_keep_their_last_good_version_and_disturb_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("a.yaml", GOOD);
        write(".hidden.yaml", "[");
        let mut directory = Directory::new(dir.path());
        assert!(directory.read().unwrap());
        assert!(!directory.read().unwrap());
        let before = directory.state().objects.clone();
        write("a.yaml", &GOOD.replace("ports", "port"));
        write("b.yaml", &GOOD.replace("name: a", "name: b"));
        assert!(directory.read().unwrap());
        assert_eq!(names(&directory), ["a", "b"]);
        assert_eq!(directory.state().objects.services.values().next(), before.services.values().next());
        let said = directory.state().diagnostics[0].to_string();
        assert_eq!(said, "a.yaml:6:3: error: Service default/a: spec.port: unknown field; did you mean `ports`?");
        assert!(before.pods.ptr_eq(&directory.state().objects.pods));
        write("a.yaml", "a: [");
        assert!(directory.read().unwrap());
        assert_eq!(names(&directory), ["a", "b"]);
        std::fs::remove_file(dir.path().join("a.yaml")).unwrap();
        directory.read().unwrap();
        assert_eq!(names(&directory), ["b"]);
    }

    #[test]
    fn of_an_object_in_two_files_the_first_counts() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("b.yaml", GOOD);
        let mut directory = Directory::new(dir.path());
        directory.read().unwrap();
        let ip = |directory: &Directory| {
            let objects = directory.state().objects.clone();
            objects.services.values().next().map(|service| service.spec.spec.cluster_ip.clone())
        };
        let other = GOOD.replace("10.0.0.1", "10.0.0.2");
        for (name, text, counts, said) in [
            ("c.yaml", Some(&other), "10.0.0.1", Some("c.yaml:1:1")),
            ("a.yaml", Some(&other), "10.0.0.2", Some("b.yaml:1:1")),
            ("c.yaml", None, "10.0.0.2", Some("b.yaml:1:1")),
            ("a.yaml", None, "10.0.0.1", None),
        ] {
            match text {
                Some(text) => write(name, text),
                None => std::fs::remove_file(dir.path().join(name)).unwrap(),
            }
            assert!(directory.read().unwrap(), "{name}");
            assert_eq!(ip(&directory).as_deref(), Some(counts), "{name}");
            let first = directory.state().diagnostics.first().map(ToString::to_string);
            assert_eq!(first.is_some(), said.is_some(), "{name}");
            assert!(first.unwrap_or_default().starts_with(said.unwrap_or_default()), "{name}");
        }
    }

    /// Looking at files is news of nothing; a file that is being written is waited for.
    #[test]
    fn only_what_changes_is_news() {
        let written = Arc::new(AtomicBool::new(true));
        let mut writing = Writing { written: written.clone(), paths: BTreeSet::new() };
        let event = |kind| Event::new(kind).add_path("/a.yaml".into());
        assert!(!writing.take(Event::new(EventKind::Create(CreateKind::File)).add_path("/.a.yaml.swp".into())));
        let closed = |mode| EventKind::Access(AccessKind::Close(mode));
        assert!(!writing.take(event(EventKind::Access(AccessKind::Open(AccessMode::Any)))));
        assert!(!writing.take(event(closed(AccessMode::Read))));
        assert!(writing.take(event(EventKind::Create(CreateKind::File))));
        assert!(!written.load(Ordering::Acquire));
        assert!(writing.take(event(closed(AccessMode::Write))));
        assert!(written.load(Ordering::Acquire));
    }

    #[tokio::test]
    async fn edits_are_heard_of() {
        let dir = tempfile::tempdir().unwrap();
        let mut state = watch_directory(dir.path()).unwrap();
        std::fs::write(dir.path().join("a.yaml"), GOOD).unwrap();
        let heard = state.wait_for(|state| state.objects.services.len() == 1);
        tokio::time::timeout(Duration::from_secs(15), heard).await.unwrap().unwrap();
    }
}
