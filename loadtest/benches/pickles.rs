//! Times what picklegate does with pickles, beside what `CPython` needs to load or
//! disassemble the same bytes. One command does it all:
//!
//! ```sh
//! cargo bench -p picklegate-loadtest --bench pickles
//! ```
//!
//! After criterion's own report comes a table: each time is the best of several
//! rounds, all taken in this run on this machine. With `-- --test` everything runs
//! once. Where `tests/setup` has made no Python, its columns stay empty. The
//! pickles are recorded; `pickles.py` is what wrote them.
#![forbid(unsafe_code)]

#[path = "../../tests/support/pythons.rs"]
#[allow(dead_code)] // A part of it is used here.
mod pythons;
mod setup;

use std::collections::HashMap;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use picklegate::pickle::transcode::{Form, Py2Str, Transcoder, UnknownEnvironment};
use picklegate::pickle::{Encoding, Extensions, Reader, Scanner, Sniffer};

use pythons::Python;
use setup::{recorded, recorded_path};

/// The pickles that are scanned, and what each is full of.
const SCANNED: [(&str, &str); 10] = [
    ("strings", "ASCII texts of 2 KiB"),
    ("text", "other texts of 2 KiB"),
    ("ints", "ints below 256"),
    ("dicts", "dicts of four"),
    ("tuples", "tuples of three"),
    ("floats", "floats"),
    ("session-py3", "dates, decimals"),
    ("users-py3", "1 KiB of Django"),
    ("session-py2", "the same, of 2.7"),
    ("users-py2", "the same, of 2.7"),
];

const TO_PYTHON3: Form = Form::Python3 {
    py2_str: Py2Str::Text,
};

/// The pickles that are transcoded, and the form that each gets.
const TRANSCODED: [(&str, Form, &str); 8] = [
    ("strings", Form::Python2, "to Python 2"),
    ("dicts", Form::Python2, "to Python 2"),
    ("session-py3", Form::Python2, "to Python 2"),
    ("users-py3", Form::Python2, "to Python 2"),
    ("users-py3", Form::Protocol4, "to protocol 4"),
    ("users-py3", Form::Protocol5, "to protocol 5"),
    ("session-py2", TO_PYTHON3, "to Python 3"),
    ("users-py2", TO_PYTHON3, "to Python 3"),
];

/// A pickle, and something done with it over and over.
struct Timed {
    group: &'static str,
    value: &'static str,
    note: &'static str,
    bytes: usize,
    run: Box<dyn FnMut()>,
}

fn timed() -> Vec<Timed> {
    let sniff = |value| {
        let (pickle, mut sniffer, encoding) =
            (recorded(value), Sniffer::default(), Encoding::default());
        Timed {
            group: "sniff",
            value,
            note: "header",
            bytes: pickle.len(),
            run: Box::new(move || {
                black_box(sniffer.sniff(&encoding, 1, black_box(&pickle)));
            }),
        }
    };
    let scan = |(value, note)| {
        let (pickle, mut scanner) = (recorded(value), Scanner::default());
        Timed {
            group: "scan",
            value,
            note,
            bytes: pickle.len(),
            run: Box::new(move || {
                let scan = scanner.scan(black_box(&pickle), Extensions::NONE);
                black_box(scan.expect("a pickle"));
            }),
        }
    };
    let judge = |(value, major, minor, note)| {
        let (pickle, mut scanner) = (recorded(value), Scanner::default());
        let reader = Reader::of_python(major, Some(minor));
        Timed {
            group: "scan and judge",
            value,
            note,
            bytes: pickle.len(),
            run: Box::new(move || {
                let scan = scanner.scan(black_box(&pickle), Extensions::NONE);
                let _ = black_box(scan.expect("a pickle").judge(reader, None));
            }),
        }
    };
    let transcode = |(value, form, note)| {
        let (pickle, mut transcoder) = (recorded(value), Transcoder::default());
        let mut out = Vec::new();
        Timed {
            group: "transcode",
            value,
            note,
            bytes: pickle.len(),
            run: Box::new(move || {
                let pickle = black_box(&pickle);
                let done = transcoder.transcode(pickle, form, &UnknownEnvironment, &mut out);
                done.expect("there is such a form");
            }),
        }
    };
    let judged = [
        ("users-py3", 3, 13, "for Python 3.13"),
        ("users-py2", 3, 13, "for Python 3.13"),
        ("users-py2", 2, 7, "for Python 2.7"),
    ];
    [sniff("users-py3")]
        .into_iter()
        .chain(SCANNED.map(scan))
        .chain(judged.map(judge))
        .chain(TRANSCODED.map(transcode))
        .collect()
}

/// The effort of one measurement.
#[derive(Clone, Copy)]
struct Effort {
    rounds: u32,
    round: Duration,
}

impl Effort {
    /// Seconds that the fastest of some rounds took for each run.
    fn best(self, run: &mut dyn FnMut()) -> f64 {
        let mut once = || {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64()
        };
        once();
        let mut times = 1;
        while once() * f64::from(times) < self.round.as_secs_f64() && times < 1 << 20 {
            times *= 2;
        }
        let round = |_| {
            let start = Instant::now();
            (0..times).for_each(|_| run());
            start.elapsed().as_secs_f64() / f64::from(times)
        };
        (0..self.rounds).map(round).fold(f64::INFINITY, f64::min)
    }
}

/// Nanoseconds of `pickle.loads` and of `pickletools.genops` by value, in the
/// newest Python there is.
fn python_times(rounds: u32) -> HashMap<&'static str, [f64; 2]> {
    let Some(python) = Python::all().pop() else {
        println!("\nno Python to compare with: tests/setup makes them");
        return HashMap::new();
    };
    println!("\nPython {}", python.version());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/pickles.py");
    let paths = SCANNED.map(|(value, _)| recorded_path(value).display().to_string());
    let rounds = rounds.to_string();
    let mut args = vec!["time", &rounds];
    args.extend(paths.iter().map(String::as_str));
    let run = python.run(&script, &args, Duration::from_mins(5));
    let run = run.expect("it ends in time");
    assert!(run.success, "{}", run.stderr);
    let times = |line: &str| {
        let mut words = line.rsplit(' ').map(str::parse);
        let (Some(Ok(genops)), Some(Ok(loads))) = (words.next(), words.next()) else {
            return None;
        };
        let value = SCANNED.iter().find(|(value, _)| {
            let path = recorded_path(value).display().to_string();
            line.starts_with(&path)
        });
        Some((value?.0, [loads, genops]))
    };
    run.stdout.lines().filter_map(times).collect()
}

fn print_table(all: &mut [Timed], effort: Effort) {
    let python = python_times(effort.rounds);
    println!(
        "{:<15} {:<12} {:<21} {:>7} {:>10} {:>7} {:>16} {:>16}",
        "what", "value", "", "bytes", "ns", "MB/s", "pickle.loads", "genops"
    );
    for timed in all {
        let nanoseconds = effort.best(&mut *timed.run) * 1e9;
        // A header is not read at a rate.
        let rate = if timed.group == "sniff" {
            String::new()
        } else {
            format!("{:.0}", timed.bytes as f64 / nanoseconds * 1e3)
        };
        let ratios = python.get(timed.value).map_or_else(Default::default, |of| {
            of.map(|python| format!("{python:.0} ns {:.0}x", python / nanoseconds))
        });
        println!(
            "{:<15} {:<12} {:<21} {:>7} {nanoseconds:>10.1} {rate:>7} {:>16} {:>16}",
            timed.group, timed.value, timed.note, timed.bytes, ratios[0], ratios[1]
        );
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .configure_from_args();
    let mut all = timed();
    for timed in &mut all {
        let mut group = criterion.benchmark_group(timed.group);
        group.throughput(Throughput::Bytes(timed.bytes as u64));
        let name = format!("{} ({})", timed.value, timed.note);
        group.bench_function(name, |bencher| bencher.iter(&mut timed.run));
    }
    criterion.final_summary();
    let effort = if std::env::args().any(|arg| arg == "--test") {
        Effort {
            rounds: 1,
            round: Duration::ZERO,
        }
    } else {
        Effort {
            rounds: 7,
            round: Duration::from_millis(20),
        }
    };
    print_table(&mut all, effort);
}
