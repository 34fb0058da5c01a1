//! From the workers to the files. A worker appends to memory of its own; one thread takes what is there and writes it, so
//! that neither a slow disk nor waking somebody costs a request anything.

use std::fs::OpenOptions;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use parking_lot::Mutex;

/// A line is written after so long at the latest; while lines come, so often.
const PAUSE: Duration = Duration::from_millis(100);
/// A worker that has so many bytes waits no longer.
const MANY: usize = 64 * 1024;
/// Of a worker that has so many bytes lines are dropped, and counted.
const MOST: usize = 4 * 1024 * 1024;

/// Where access logs end. Cheap to clone.
#[derive(Clone)]
pub struct Sink {
    shared: Arc<Shared>,
    calls: SyncSender<Call>,
}

/// Why the writer is called.
enum Call {
    /// A line waits, the first after a pause without any.
    Line,
    /// A worker has many.
    Many,
}

#[derive(Default)]
struct Shared {
    workers: Mutex<Vec<Arc<Mutex<Waiting>>>>,
    /// The writer writes every so often, and need not be called for a line.
    awake: AtomicBool,
    /// Files that are open. Whoever holds them writes.
    files: Mutex<Files>,
    dropped: AtomicU64,
}

type Files = HashMap<Box<str>, Box<dyn Write + Send>>;

/// Lines by the file that they go to.
type Texts = Vec<(Box<str>, Vec<u8>)>;

/// Lines that wait.
#[derive(Default)]
struct Waiting {
    texts: Texts,
    bytes: usize,
    /// Room for the lines that come while these are written.
    spare: Texts,
}

/// One worker's end of it; its lock is only ever contended while lines are taken.
pub(in crate::record) struct Lines {
    waiting: Arc<Mutex<Waiting>>,
    sink: Sink,
}

impl Sink {
    /// Starts the writing thread; it ends with the last sink.
    ///
    /// # Errors
    /// If the operating system gives no thread.
    pub fn start() -> std::io::Result<Self> {
        let (calls, called) = sync_channel(64);
        let shared = Arc::new(Shared::default());
        let writer = shared.clone();
        std::thread::Builder::new().name("access-log".into()).spawn(move || writer.run(&called))?;
        Ok(Self { shared, calls })
    }

    /// Lines dropped so far.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Writes what waits, and returns when it is written: at the end.
    pub fn flush(&self) {
        self.shared.write();
    }

    pub(in crate::record) fn lines(&self) -> Lines {
        let waiting = Arc::<Mutex<Waiting>>::default();
        self.shared.workers.lock().push(waiting.clone());
        Lines { waiting, sink: self.clone() }
    }

    /// A writer that is called already needs no further call.
    fn call(&self, call: Call) {
        let _ = self.calls.try_send(call);
    }
}

impl Lines {
    /// Appends a line for the file at `path`.
    pub(in crate::record) fn append(&self, path: &str, render: impl FnOnce(&mut Vec<u8>)) {
        let mut waiting = self.waiting.lock();
        if waiting.bytes >= MOST {
            self.sink.shared.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let text = waiting.text(path);
        let before = text.len();
        render(text);
        let more = text.len() - before;
        let had_many = waiting.bytes >= MANY;
        waiting.bytes += more;
        let has_many = waiting.bytes >= MANY;
        drop(waiting);
        if has_many && !had_many {
            self.sink.call(Call::Many);
        } else if !self.sink.shared.is_awake() {
            self.sink.call(Call::Line);
        }
    }
}

impl Waiting {
    fn text(&mut self, path: &str) -> &mut Vec<u8> {
        let known = self.texts.iter().position(|(known, _)| &**known == path);
        let at = known.unwrap_or_else(|| {
            self.texts.push((path.into(), Vec::with_capacity(4 * 1024)));
            self.texts.len() - 1
        });
        &mut self.texts[at].1
    }

    /// Takes what waits, and leaves the room of what was written last.
    fn take(&mut self) -> Texts {
        self.bytes = 0;
        let spare = std::mem::take(&mut self.spare);
        std::mem::replace(&mut self.texts, spare)
    }

    /// Takes the room of what was written, unless it is unusually much. While no lines come none is kept.
    fn keep(&mut self, mut written: Texts) {
        if written.iter().all(|(_, text)| text.is_empty()) {
            written.clear();
        }
        written.retain(|(_, text)| text.capacity() <= 2 * MANY);
        written.iter_mut().for_each(|(_, text)| text.clear());
        self.spare = written;
    }
}

impl Shared {
    fn run(&self, calls: &Receiver<Call>) {
        let mut next = calls.recv();
        while let Ok(call) = next {
            if matches!(call, Call::Line) {
                let until = Instant::now() + PAUSE;
                while let Ok(Call::Line) = calls.recv_timeout(until.saturating_duration_since(Instant::now())) {}
            }
            next = if self.turn() { Ok(Call::Line) } else { calls.recv() };
        }
        self.write();
    }

    /// Writes. True if more lines are expected, for which no worker is to call: a call comes in the midst of a request.
    fn turn(&self) -> bool {
        if self.write() {
            return true;
        }
        self.awake.store(false, Ordering::Release);
        // Lines that came meanwhile called nobody.
        let wrote = self.write();
        if wrote {
            self.awake.store(true, Ordering::Release);
        }
        wrote
    }

    /// True if the writer is awake; else it is to be called, and is awake from now. Looked at first without writing, which
    /// all workers share: whoever finds it awake has appended before it looks for the last time.
    fn is_awake(&self) -> bool {
        self.awake.load(Ordering::Acquire) || self.awake.swap(true, Ordering::AcqRel)
    }

    /// Writes what is there in one go a worker and file; a file that cannot be opened is tried again with its next line.
    /// True if there was something.
    fn write(&self) -> bool {
        let mut files = self.files.lock();
        let workers = self.workers.lock().clone();
        let mut wrote = false;
        for worker in workers {
            let texts = worker.lock().take();
            for (path, text) in texts.iter().filter(|(_, text)| !text.is_empty()) {
                wrote = true;
                if let Some(file) = open(&mut files, path)
                    && file.write_all(text).and_then(|()| file.flush()).is_err()
                {
                    files.remove(path);
                }
            }
            worker.lock().keep(texts);
        }
        self.forget_the_gone();
        wrote
    }

    /// A worker that is gone says no more; what it said since its lines were taken is still to be written.
    fn forget_the_gone(&self) {
        self.workers.lock().retain(|worker| Arc::strong_count(worker) > 1 || worker.lock().bytes > 0);
    }
}

fn open<'a>(files: &'a mut Files, path: &str) -> Option<&'a mut Box<dyn Write + Send>> {
    if !files.contains_key(path) {
        let file: Box<dyn Write + Send> = match path {
            "/dev/stdout" => Box::new(std::io::stdout()),
            "/dev/stderr" => Box::new(std::io::stderr()),
            _ => Box::new(OpenOptions::new().create(true).append(true).open(path).ok()?),
        };
        files.insert(path.into(), file);
    }
    files.get_mut(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(directory: &tempfile::TempDir) -> String {
        directory.path().join("log").to_string_lossy().into_owned()
    }

    #[test]
    fn lines_of_all_workers_are_written_without_being_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let (path, sink) = (file(&directory), Sink::start().unwrap());
        let (one, other) = (sink.lines(), sink.lines());
        one.append(&path, |line| line.extend_from_slice(b"one\n"));
        other.append(&path, |line| line.extend_from_slice(b"other\n"));
        let deadline = Instant::now() + Duration::from_secs(10);
        let read = || std::fs::read_to_string(&path).unwrap_or_default();
        while read().lines().count() < 2 && Instant::now() < deadline {
            std::thread::yield_now();
        }
        assert_eq!(read(), "one\nother\n");
    }

    #[test]
    fn a_writer_is_called_for_the_first_line_after_a_pause_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = file(&directory);
        let (calls, called) = sync_channel(64);
        let shared = Arc::new(Shared::default());
        let lines = Sink { shared: shared.clone(), calls }.lines();
        let room = || lines.waiting.lock().texts.iter().map(|(_, text)| text.capacity()).sum::<usize>();
        let append = || {
            lines.append(&path, |line| line.extend_from_slice(b"line\n"));
            called.try_iter().count()
        };
        assert_eq!([append(), append()], [1, 0]);
        assert!(shared.turn(), "more is expected");
        assert_eq!(append(), 0);
        assert!(shared.turn());
        assert!(room() > 0, "what was written leaves its room");
        assert!(!shared.turn(), "a turn without any");
        assert_eq!(room(), 0, "none is kept");
        assert_eq!([append(), append()], [1, 0]);
        shared.write();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "line\n".repeat(5));
    }

    #[test]
    fn the_last_lines_of_a_worker_that_ends_are_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = file(&directory);
        let shared = Arc::new(Shared::default());
        let lines = Sink { shared: shared.clone(), calls: sync_channel(64).0 }.lines();
        lines.append(&path, |line| line.extend_from_slice(b"last\n"));
        drop(lines);
        shared.forget_the_gone();
        shared.write();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "last\n");
        assert!(shared.workers.lock().is_empty());
    }

    #[test]
    fn what_waits_at_the_end_is_written_and_too_much_is_dropped_and_counted() {
        let directory = tempfile::tempdir().unwrap();
        let (path, sink) = (file(&directory), Sink::start().unwrap());
        let lines = sink.lines();
        let writing = sink.shared.files.lock();
        let long = "x".repeat(MOST / 4 - 1) + "\n";
        (0..6).for_each(|_| lines.append(&path, |line| line.extend_from_slice(long.as_bytes())));
        assert_eq!(sink.dropped(), 2);
        drop(writing);
        sink.flush();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), MOST as u64);
    }
}
