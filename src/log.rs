//! The log: lines on standard error, which a thread of its own writes. Whoever has
//! something to say never waits for that: what does not fit into the queue is dropped,
//! counted, and told as soon as there is room again.
//!
//! What is told is often from the wire. Each value is put on one line, and no terminal
//! obeys it.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal as _, Write};
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::{Duration, Instant};

use tracing::field::Field;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder};
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::{self, Writer};
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Lines that wait to be written.
const MAX_LINES: usize = 1024;
/// The longest value of a line, in bytes; the rest of it is left out.
const MAX_VALUE_BYTES: usize = 4 << 10;
/// The time that the end waits for lines that are not written yet: a reader that reads
/// is done long before.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(200);
/// The time between two looks whether they are written.
const FLUSH_STEP: Duration = Duration::from_millis(1);
/// The time between two lines that [`Pace`] lets through.
const PACE: Duration = Duration::from_secs(1);

/// The process's log, once it is there.
static LOG: OnceLock<Log> = OnceLock::new();

#[derive(Debug)]
struct Log {
    counts: Arc<Counts>,
    /// Lines that found no room.
    refused: ErrorCounter,
}

/// Lines since the start.
#[derive(Debug, Default)]
struct Counts {
    /// Lines that were said.
    said: AtomicUsize,
    /// Lines that were written, or could not be.
    done: AtomicUsize,
    /// Lines that could not be written.
    failed: AtomicUsize,
}

/// Logs to standard error from now on, for the whole process: what `asked` says
/// (`debug`, or `target=level,...`), else from `level` on. Panics are logged, too.
pub fn start(level: LevelFilter, asked: &str) {
    let usual = Targets::new().with_default(level);
    let (shown, refused) = match asked.parse() {
        _ if asked.is_empty() => (usual, None),
        Ok(targets) => (targets, None),
        Err(why) => (usual, Some(why)),
    };
    // It warns of watched directories that went, as each does that a mounted
    // ConfigMap leaves behind.
    let shown = shown.with_target("notify", LevelFilter::ERROR);
    let counts = Arc::<Counts>::default();
    let lines = Lines::new(io::stderr(), &counts);
    let log = Log {
        counts,
        refused: lines.queue.error_counter(),
    };
    // Set once: a process has one log.
    if LOG.set(log).is_err() {
        return;
    }
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(io::stderr().is_terminal())
        .fmt_fields(format::debug_fn(write_field).delimited(" "))
        .with_writer(move || lines.clone());
    tracing_subscriber::registry()
        .with(lines)
        .with(shown)
        .init();
    std::panic::set_hook(Box::new(tell_of_panic));
    if let Some(why) = refused {
        tracing::warn!("PICKLEGATE_LOG={asked} is no filter: {why}");
    }
}

/// Lines that nobody will ever read.
pub fn dropped() -> u64 {
    LOG.get().map_or(0, |log| log.dropped() as u64)
}

/// Waits until all that was said is written, but not for who does not read it.
pub fn flush() {
    if let Some(log) = LOG.get() {
        let deadline = Instant::now() + FLUSH_TIMEOUT;
        while log.is_behind() && Instant::now() < deadline {
            std::thread::sleep(FLUSH_STEP);
        }
    }
}

/// Says why the process ends, behind what was logged. As bounded in time as
/// [`flush`].
pub fn last_words(message: String) {
    flush();
    let (done, written) = mpsc::channel();
    let speaker = std::thread::Builder::new().spawn(move || {
        // Nobody is left to be told that this failed.
        let _ = writeln!(io::stderr(), "{message}");
        let _ = done.send(());
    });
    if speaker.is_ok() {
        let _ = written.recv_timeout(FLUSH_TIMEOUT);
    }
}

impl Log {
    fn dropped(&self) -> usize {
        self.refused.dropped_lines() + self.counts.failed.load(Ordering::Relaxed)
    }

    fn is_behind(&self) -> bool {
        let over = self.counts.done.load(Ordering::Acquire) + self.refused.dropped_lines();
        over < self.counts.said.load(Ordering::Acquire)
    }
}

/// A panic becomes a line, and one for each of its backtrace if that was asked for
/// (`RUST_BACKTRACE`). It may be the last thing that this process does.
fn tell_of_panic(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let place = panic.location().map(ToString::to_string);
    tracing::error!(
        thread = thread.name().unwrap_or_default(),
        place = place.as_deref().unwrap_or_default(),
        "panic: {}",
        panic_text(panic.payload())
    );
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        for line in backtrace.to_string().lines() {
            tracing::error!("{line}");
        }
    }
    flush();
}

/// Returns the text of a panic.
pub(crate) fn panic_text(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no text")
}

// What is written --------------------------------------------------------------

/// The queue of the lines that were said: one for each line.
#[derive(Debug, Clone)]
struct Lines {
    queue: NonBlocking,
    counts: Arc<Counts>,
}

impl Lines {
    fn new(out: impl Write + Send + 'static, counts: &Arc<Counts>) -> Self {
        let out = Output {
            out,
            counts: Arc::clone(counts),
            refused: Arc::default(),
            until_next: 0,
            told: 0,
        };
        let refused = Arc::clone(&out.refused);
        let queue = NonBlockingBuilder::default()
            .lossy(true)
            .buffered_lines_limit(MAX_LINES)
            .thread_name("log");
        let (queue, guard) = queue.finish(out);
        // It waits for a second at the end, and says on standard output why.
        std::mem::forget(guard);
        // Set once, here.
        let _ = refused.set(queue.error_counter());
        let counts = Arc::clone(counts);
        Self { queue, counts }
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.counts.said.fetch_add(1, Ordering::Release);
        self.queue.write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The writer of the queue, on its own thread: says how many lines were dropped.
#[derive(Debug)]
struct Output<W> {
    out: W,
    counts: Arc<Counts>,
    refused: Arc<OnceLock<ErrorCounter>>,
    /// Lines before the next look at how many were dropped. Where one is, a whole
    /// queue is still to be written: a look for half of that finds every one.
    until_next: usize,
    told: usize,
}

impl<W: Write> Output<W> {
    fn tell_of_dropped(&mut self) -> io::Result<()> {
        if self.until_next > 0 {
            self.until_next -= 1;
            return Ok(());
        }
        let refused = self.refused.get().map_or(0, ErrorCounter::dropped_lines);
        let dropped = refused + self.counts.failed.load(Ordering::Relaxed);
        let more = dropped - std::mem::replace(&mut self.told, dropped);
        if more == 0 {
            return Ok(());
        }
        self.until_next = MAX_LINES / 2;
        // Not by the queue, which may be full.
        let mut line = String::new();
        // Writing to a String cannot fail.
        let _ = SystemTime.format_time(&mut Writer::new(&mut line));
        let place = module_path!();
        let _ = writeln!(
            line,
            "  WARN {place}: the log was not read in time: some of it was dropped lines={more}"
        );
        self.out.write_all(line.as_bytes())
    }
}

impl<W: Write> Write for Output<W> {
    /// A line that cannot be written is dropped: it is not for the thread to say so.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let written = self.out.write_all(line);
        if written.and_then(|()| self.tell_of_dropped()).is_err() {
            self.counts.failed.fetch_add(1, Ordering::Relaxed);
        }
        self.counts.done.fetch_add(1, Ordering::Release);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

// How it is written ------------------------------------------------------------

fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    match field.name() {
        "message" => {}
        name => write!(writer, "{name}=")?,
    }
    let mut escaping = Escaping {
        writer,
        left: MAX_VALUE_BYTES,
    };
    write!(escaping, "{value:?}")
}

/// Writes what a terminal or a reader of lines would take for something else as Rust
/// spells it: `\n`, `\u{1b}`.
struct Escaping<'w, W> {
    writer: &'w mut W,
    /// Bytes before the rest is left out.
    left: usize,
}

impl<W: fmt::Write> fmt::Write for Escaping<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive(is_escaped) {
            let last = part.chars().next_back().filter(|&c| is_escaped(c));
            let plain = &part[..part.len() - last.map_or(0, char::len_utf8)];
            self.put(plain)?;
            if let Some(last) = last {
                write!(self, "{}", last.escape_debug())?;
            }
        }
        Ok(())
    }
}

impl<W: fmt::Write> Escaping<'_, W> {
    fn put(&mut self, text: &str) -> fmt::Result {
        if self.left == 0 {
            return Ok(());
        }
        if text.len() <= self.left {
            self.left -= text.len();
            return self.writer.write_str(text);
        }
        let whole = |end: &usize| text.is_char_boundary(*end);
        let fits = (0..=self.left).rev().find(whole).unwrap_or_default();
        self.left = 0;
        self.writer.write_str(&text[..fits])?;
        self.writer.write_str("...")
    }
}

/// Control characters, and whatever else shows nothing or turns the line around.
fn is_escaped(c: char) -> bool {
    !matches!(c, '\\' | '"' | '\'') && c.escape_debug().len() > 1
}

// How often --------------------------------------------------------------------

/// Lets one line in a second through. What is held back is told with the next.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    last: Option<Instant>,
    held: u64,
}

impl Pace {
    /// Tells whether a line may go; with it, how many did not before it.
    pub(crate) fn go(&mut self, now: Instant) -> Option<u64> {
        if self
            .last
            .is_some_and(|last| now.saturating_duration_since(last) < PACE)
        {
            self.held += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.held))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::sync::Mutex;

    use super::*;

    /// Lines that a fresh logger writes while `say` runs.
    fn logged(say: impl FnOnce()) -> String {
        #[derive(Clone, Default)]
        struct Page(Arc<Mutex<Vec<u8>>>);
        impl Write for Page {
            fn write(&mut self, line: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(line);
                Ok(line.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let page = Page::default();
        let to = page.clone();
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .without_time()
            .with_target(false)
            .fmt_fields(format::debug_fn(write_field).delimited(" "))
            .with_writer(move || to.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), say);
        let page = page.0.lock().unwrap();
        String::from_utf8(page.clone()).unwrap()
    }

    #[test]
    fn what_came_from_the_wire_forges_no_line_and_moves_no_cursor() {
        let name = "evil\n2026 ERROR all is lost\r\u{1b}[2J\u{9b}1A\u{202e}\u{0}\tend";
        let told = logged(|| {
            tracing::warn!(class = %name, text = name, "module {name} \u{1b}[31m");
        });
        assert_eq!(told.matches('\n').count(), 1, "{told:?}");
        assert!(!told.trim_end().chars().any(char::is_control), "{told:?}");
        assert!(!told.contains('\u{202e}'), "{told:?}");
        assert!(
            told.contains(r"evil\n2026 ERROR all is lost\r\u{1b}[2J\u{9b}1A"),
            "{told}"
        );
    }

    #[test]
    fn what_is_no_danger_is_written_as_it_is() {
        let told = logged(|| tracing::info!(path = %"C:\\ \"a\" 'b'", "Grüße, 日本 {{}}"));
        assert_eq!(told.trim_end(), r#" INFO Grüße, 日本 {} path=C:\ "a" 'b'"#);
    }

    #[test]
    fn a_value_takes_no_more_than_its_share_of_a_line() {
        let long = "é".repeat(MAX_VALUE_BYTES);
        let told = logged(|| tracing::info!(%long, "{}", "\n".repeat(MAX_VALUE_BYTES)));
        assert!(told.len() < 3 * MAX_VALUE_BYTES, "{}", told.len());
        assert!(told.trim_end().ends_with("é..."));
    }

    #[test]
    fn who_logs_waits_for_no_reader_and_what_was_dropped_is_counted() {
        let (mut reader, writer) = io::pipe().unwrap();
        let counts = Arc::<Counts>::default();
        let lines = Lines::new(writer, &counts);
        let refused = lines.queue.error_counter();
        let said = 20 * MAX_LINES;
        for _ in 0..said {
            lines.clone().write_all(&[b'x'; 100]).unwrap();
        }
        assert!(refused.dropped_lines() > 10 * MAX_LINES);
        let kept = said - refused.dropped_lines();
        let mut all = vec![0; 100 * kept];
        reader.read_exact(&mut all).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while counts.done.load(Ordering::Acquire) < kept {
            assert!(Instant::now() < deadline, "{counts:?}");
            std::thread::sleep(FLUSH_STEP);
        }
    }

    #[test]
    fn a_line_in_a_second_goes_and_tells_of_those_before_it() {
        let start = Instant::now();
        let mut pace = Pace::default();
        assert_eq!(pace.go(start), Some(0));
        for ms in [0, 500, 999] {
            assert_eq!(pace.go(start + Duration::from_millis(ms)), None);
        }
        assert_eq!(pace.go(start + PACE), Some(3));
        assert_eq!(pace.go(start + 2 * PACE), Some(0));
    }
}
