//! A directory of YAML, read and watched. A bad object never disturbs the good ones, and its last good version stays in
//! force.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecursiveMode, Watcher};
use tokio::sync::{mpsc, watch};

use crate::across;
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::load::{ByName, Loaded, load};
use crate::objects::Objects;
use crate::state::State;

/// Without any news the directory is looked at this often: some file systems tell nothing.
const RESCAN: Duration = Duration::from_secs(10);
/// A burst of news is waited out for so long.
const QUIET: Duration = Duration::from_millis(20);
/// A file larger than this is refused.
const LARGEST: u64 = 64 * 1024 * 1024;

/// A directory as it was read last.
pub struct Directory {
    path: PathBuf,
    files: BTreeMap<PathBuf, File>,
    state: State,
}

/// A file: its bytes as last read, what they said, and the good objects that it gives.
struct File {
    text: String,
    said: Loaded,
    objects: ByName,
}

impl Directory {
    /// A directory that was not read yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), files: BTreeMap::new(), state: State::default() }
    }

    /// Reads what changed. True if the state did.
    ///
    /// # Errors
    /// If the directory cannot be listed.
    pub fn read(&mut self) -> std::io::Result<bool> {
        let mut found = Vec::new();
        list(&self.path, &mut found)?;
        found.sort();
        let before = self.files.len();
        self.files.retain(|path, _| found.contains(path));
        let mut changed = before != self.files.len();
        for path in found {
            changed |= self.read_file(&path);
        }
        if changed {
            self.settle();
        }
        Ok(changed)
    }

    /// The newest state.
    pub fn state(&self) -> &State {
        &self.state
    }

    fn read_file(&mut self, path: &Path) -> bool {
        let name: Arc<str> = path.strip_prefix(&self.path).unwrap_or(path).display().to_string().into();
        let text = std::fs::metadata(path).and_then(|data| {
            if data.len() > LARGEST {
                return Err(std::io::Error::other(format!("has more than {LARGEST} bytes")));
            }
            std::fs::read_to_string(path)
        });
        let (text, said) = match text {
            Ok(text) if self.files.get(path).is_some_and(|file| file.text == text) => return false,
            Ok(text) => {
                let said = load(&name, &text);
                (text, said)
            }
            // It went between listing and reading: the next round sees it.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return false,
            Err(error) => (String::new(), unreadable(&name, &error)),
        };
        let last = self.files.remove(path).map(|file| file.objects).unwrap_or_default();
        let mut objects = if said.unreadable { last.clone() } else { ByName::new() };
        for refused in &said.refused {
            if let Some(good) = last.get(refused) {
                objects.insert(refused.clone(), good.clone());
            }
        }
        objects.extend(said.objects.iter().map(|object| (object.reference(), object.clone())));
        self.files.insert(path.to_owned(), File { text, said, objects });
        true
    }

    /// Joins the files; of an object in two files the first one counts.
    fn settle(&mut self) {
        let mut all = ByName::new();
        let mut diagnostics: Vec<Diagnostic> = Vec::new();
        let mut refused = BTreeMap::new();
        for file in self.files.values() {
            refused.extend(file.said.refused.iter().map(|reference| (reference.clone(), 0)));
            diagnostics.extend(file.said.diagnostics.iter().cloned());
            for (reference, object) in &file.objects {
                if let Some(first) = all.get(reference) {
                    let source = &object.meta().source;
                    diagnostics.push(Diagnostic {
                        file: source.file.clone(),
                        position: source.position,
                        severity: Severity::Error,
                        code: Code::Duplicate,
                        object: Some(reference.clone()),
                        path: String::new(),
                        message: format!("stands in {} already; this one is ignored", first.meta().source),
                    });
                } else {
                    all.insert(reference.clone(), object.clone());
                }
            }
        }
        let objects = Objects::new(all.into_values()).sharing(&self.state.objects);
        if !objects.same_as(&self.state.objects) {
            self.state.objects = Arc::new(objects);
        }
        diagnostics.extend(across::findings(&self.state.objects));
        self.state.diagnostics = diagnostics.into();
        self.state.refused = Arc::new(refused);
    }
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
    let watcher = notify::recommended_watcher(move |_| {
        // One piece of news that waits is as good as many.
        let _ = news.try_send(());
    });
    let watching = watcher.and_then(|mut watcher| watcher.watch(path, RecursiveMode::Recursive).map(|()| watcher));
    let watcher = watching
        .map_err(|error| tracing::warn!("{}: no news of changes ({error}); looking every {RESCAN:?}", path.display()))
        .ok();
    tokio::spawn(async move {
        let _watcher = watcher;
        loop {
            tokio::select! {
                news = heard.recv() => if news.is_none() { tokio::time::sleep(RESCAN).await },
                () = tokio::time::sleep(RESCAN) => {}
                () = sender.closed() => return,
            }
            tokio::time::sleep(QUIET).await;
            match directory.read() {
                Ok(true) => drop(sender.send_replace(directory.state().clone())),
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!("{}: {error}; what was read last stays in force", directory.path.display())
                }
            }
        }
    });
    Ok(receiver)
}

/// YAML files, without hidden ones: editors and atomic writes leave those behind for a moment.
fn list(directory: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let yaml =
            path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml" || extension == "json");
        if hidden {
            continue;
        }
        if path.is_dir() {
            list(&path, found)?;
        } else if yaml {
            found.push(path);
        }
    }
    Ok(())
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
        assert!(Arc::ptr_eq(&before.pods, &directory.state().objects.pods));
        write("a.yaml", "a: [");
        assert!(directory.read().unwrap());
        assert_eq!(names(&directory), ["a", "b"]);
        std::fs::remove_file(dir.path().join("a.yaml")).unwrap();
        directory.read().unwrap();
        assert_eq!(names(&directory), ["b"]);
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
