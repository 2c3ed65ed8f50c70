//! Makes inventories as a user does: `picklegate inventory > inventory.py`
//! beside an application, run by every Python that `tests/setup` found.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use picklegate::pickle::inventory::Inventory;
use tempfile::TempDir;

use crate::support::pythons::{Finished, Python};

const LIMIT: Duration = Duration::from_secs(120);
const MODELS: &[u8] = b"sampleapp.models";

/// The application's directory, with the script in it.
fn deployment() -> io::Result<TempDir> {
    let directory = tempfile::tempdir()?;
    let script = Command::new(env!("CARGO_BIN_EXE_picklegate"))
        .arg("inventory")
        .output()?;
    assert!(script.status.success());
    fs::write(directory.path().join("inventory.py"), script.stdout)?;
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pickle/inventory/sampleapp");
    let to = directory.path().join("sampleapp");
    fs::create_dir(&to)?;
    for name in ["__init__.py", "broken.py", "lazy.py", "models.py"] {
        fs::copy(from.join(name), to.join(name))?;
    }
    Ok(directory)
}

/// Modules of all kinds, beside the application.
const KINDS: [(&str, &str); 22] = [
    ("parts/__init__.py", ""),
    ("parts/plain.py", ""),
    ("parts/compiled.pyc", ""),
    ("parts/fast.cpython-313-x86_64-linux-gnu.so", ""),
    ("parts/quickmodule.so", ""),
    ("parts/text.html", ""),
    ("parts/bare/deep/fast.so", ""),
    ("parts/migrations/__init__.py", ""),
    ("parts/migrations/0001_initial.py", ""),
    ("parts/spaces/__init__.py", ""),
    ("parts/spaces/a name.txt", ""),
    ("parts/found/__init__.py", ""),
    ("first/split/__init__.py", EXTENDED),
    ("first/split/here.py", ""),
    ("second/split/__init__.py", EXTENDED),
    ("second/split/there.py", ""),
    ("first/joined/here.py", ""),
    ("second/joined/there.py", ""),
    ("lazy/__init__.py", LAZY),
    ("kinds.py", include_str!("inventory/kinds.py")),
    ("finder.py", include_str!("inventory/finder.py")),
    ("odd.py", include_str!("inventory/odd.py")),
];
const EXTENDED: &str = "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n";
const LAZY: &str = "def __getattr__(name): raise AttributeError(name)\n";

/// Modules that never let their import end, and one that takes its time.
const HANGS: [(&str, &str); 4] = [
    (
        "stuck.py",
        "import threading\nlock = threading.Lock()\nlock.acquire()\nlock.acquire()\n",
    ),
    ("ending.py", "import os\nos._exit(7)\n"),
    ("slow.py", "import time\ntime.sleep(1.2)\n"),
    (
        "waiting.py",
        "import sys, time\n\nclass Waiting(object):\n    def find_spec(self, name, path=None, target=None):\n        \
         if 'picklegate' in name: time.sleep(600)\n    find_module = find_spec\n\n\
         sys.meta_path.append(Waiting())\n",
    ),
];

/// The classes and functions of `told.py`.
const TOLD: [&str; 19] = [
    "Apart",
    "Base",
    "Colour",
    "Declined",
    "Derived",
    "Fixed",
    "Growing",
    "Made",
    "Number",
    "Paired",
    "Point",
    "Registered",
    "Row",
    "Slots",
    "Stateful",
    "Zone",
    "make",
    "registered",
    "Gone",
];

fn run(python: &Python, directory: &TempDir, args: &[&str]) -> Finished {
    let finished = python.run(&directory.path().join("inventory.py"), args, LIMIT);
    finished.expect("it ends in time")
}

/// The deployment, with packages of all kinds in it.
fn deployment_with_kinds() -> io::Result<TempDir> {
    let directory = deployment()?;
    for (name, text) in KINDS {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().expect("a package"))?;
        fs::write(path, text)?;
    }
    Ok(directory)
}

fn pythons() -> Vec<Python> {
    let all = Python::all();
    if all.is_empty() {
        println!("skipped: no Python; tests/setup looks for them");
    }
    all
}

#[test]
fn every_python_lists_what_it_can_load() {
    let directory = deployment().unwrap();
    let args = ["--import", "sampleapp.models", "--walk", "sampleapp"];
    for python in pythons() {
        let version = python.version();
        let made = run(&python, &directory, &args);
        assert!(made.success, "{version}: {}", made.stderr);
        let again = run(&python, &directory, &args);
        assert_eq!(made.stdout, again.stdout, "{version}: not deterministic");
        let told = "inventory: sampleapp.broken: ";
        assert!(made.stderr.contains(told), "{version}: {}", made.stderr);

        let inventory = Inventory::read("made", made.stdout.as_bytes()).unwrap();
        assert_eq!(
            inventory.python(),
            (python.major.into(), python.minor.into())
        );
        for name in ["Classic", "Outer", "Outer.Inner", "Name", "make"] {
            let known = inventory.knows(MODELS, name.as_bytes());
            assert_eq!(known, Some(true), "{version}: {name}");
        }
        for (module, name, known) in [
            ("sampleapp.models", "Gone", Some(false)),
            ("sampleapp.models", "Outer.method", None),
            ("sampleapp.gone", "Anything", Some(false)),
            ("sampleapp.broken", "Anything", None),
            ("sampleapp.lazy", "Anything", None),
            ("decimal", "Decimal", None),
        ] {
            let told = inventory.knows(module.as_bytes(), name.as_bytes());
            assert_eq!(told, known, "{version}: {module}.{name}");
        }
        let two = python.major == 2;
        assert_eq!(inventory.is_classic(MODELS, b"Classic"), two, "{version}");
        assert_eq!(inventory.is_bytes_based(MODELS, b"Name"), two, "{version}");
        assert_eq!(inventory.is_text_based(MODELS, b"Name"), !two, "{version}");
        assert!(inventory.has_no_dict(MODELS, b"Slotted"), "{version}");
        for name in ["Outer", "Classic", "Name", "SlottedWithState"] {
            assert!(
                !inventory.has_no_dict(MODELS, name.as_bytes()),
                "{version}: {name}"
            );
        }
    }
}

#[test]
fn every_python_lists_what_is_in_packages() {
    let directory = deployment_with_kinds().unwrap();
    for python in pythons() {
        let version = python.version();
        let made = run(&python, &directory, &["--import", "kinds"]);
        assert!(made.success, "{version}: {}", made.stderr);
        let inventory = Inventory::read("made", made.stdout.as_bytes()).unwrap();
        let knows = |module: &str| inventory.knows(module.as_bytes(), b"Anything");
        for lacking in [
            "parts.gone",
            "parts.gone.deep",
            "parts.none",
            "kinds.gone",
            "parts.migrations.0002_gone",
            "split.gone",
            "lazy.gone",
        ] {
            assert_eq!(knows(lacking), Some(false), "{version}: {lacking}");
        }
        for other in [
            "parts.compiled",
            "parts.fast",
            "parts.quick",
            "parts.bare.deep.fast",
            "parts.migrations.0001_initial",
            // A name that cannot be listed, ways that are not known, or made by hand.
            "parts.spaces.gone",
            "parts.found.gone",
            "parts.moves.urllib.parse",
            "parts.six.moves",
            "parts.by.other",
            "parts.plain.other",
            "split.here",
            "split.there",
            "joined.there",
            "zipped.gone",
        ] {
            assert_eq!(knows(other), None, "{version}: {other}");
        }
        if python.major == 3 {
            assert_eq!(knows("joined.gone"), Some(false), "{version}");
        }

        let made = run(&python, &directory, &["--import", "finder"]);
        assert!(made.success, "{version}: {}", made.stderr);
        let inventory = Inventory::read("made", made.stdout.as_bytes()).unwrap();
        assert_eq!(
            inventory.knows(b"parts.gone", b"Anything"),
            None,
            "{version}"
        );
    }
}

#[test]
fn what_cannot_be_imported_fails_and_costs_itself_only() {
    let directory = deployment().unwrap();
    for python in pythons() {
        let args = [
            "--import",
            "sampleapp.broken",
            "--import",
            "sampleapp.models",
        ];
        let made = run(&python, &directory, &args);
        assert!(!made.success);
        let told = "inventory: cannot import sampleapp.broken\n";
        assert!(made.stderr.ends_with(told), "{}", made.stderr);
        let inventory = Inventory::read("made", made.stdout.as_bytes()).unwrap();
        assert_eq!(inventory.knows(MODELS, b"Outer"), Some(true));
        assert_eq!(inventory.knows(MODELS, b"Gone"), Some(false));
        assert_eq!(inventory.knows(b"sampleapp.broken", b"Gone"), None);
    }
}

/// Finders of others, names that are unicode on Python 2, modules and classes that fail
/// when they are looked at.
#[test]
fn what_fails_or_is_foreign_blinds_nothing_else() {
    let directory = deployment_with_kinds().unwrap();
    for python in pythons() {
        let version = python.version();
        let made = run(
            &python,
            &directory,
            &["--import", "odd", "--import", "parts"],
        );
        assert!(made.success, "{version}: {}", made.stderr);
        for told in [
            "odd.EditableFinder finds modules as well",
            "odd.Backport finds",
            "RuntimeError: finder asked",
            "inventory: odd.Ending: SystemExit: 3",
            "inventory: odd.Liar: TypeError",
            "inventory: numbered: ",
            "inventory: large: ValueError: more than 20000 names",
        ] {
            assert!(made.stderr.contains(told), "{version}: {}", made.stderr);
        }
        let inventory = Inventory::read("made", made.stdout.as_bytes()).unwrap();
        for lying in ["Asked", "Ending", "Liar", "Unhashable"] {
            let facts = inventory.facts(b"odd", lying.as_bytes());
            assert_eq!(facts, Some("value:?"), "{version}: {lying}");
        }
        for (module, name, known) in [
            ("odd", "Plain", Some(true)),
            ("odd", "Gone", Some(false)),
            ("odd", "Liar", Some(true)),
            ("odd", "endless", Some(true)),
            ("made", "Anything", None),
            ("numbered", "Anything", None),
            ("large", "name1", None),
            ("parts.wide", "Thing", Some(true)),
            ("parts.wide", "Gone", Some(false)),
            ("parts.gone", "Anything", Some(false)),
            ("no_such_package", "Anything", Some(false)),
            // A table of a finder names them.
            ("editable", "Anything", None),
            ("parts.editable", "Anything", None),
            ("failing", "Anything", None),
            ("sampleapp.broken", "Anything", None),
        ] {
            let told = inventory.knows(module.as_bytes(), name.as_bytes());
            assert_eq!(told, known, "{version}: {module}.{name}");
        }
        let facts = inventory.facts(b"odd", b"Plain");
        assert_eq!(facts, Some("class init=1-2 sets=left,right"), "{version}");
    }
}

/// What no exception ends: a lock that is never given back, a finder that waits, and
/// what ends the interpreter itself.
#[test]
fn what_hangs_or_ends_the_interpreter_costs_itself_only() {
    let directory = deployment().unwrap();
    for (name, text) in HANGS {
        fs::write(directory.path().join(name), text).unwrap();
    }
    let args = ["--seconds", "2", "--import", "stuck", "--import", "ending"];
    let others = ["--import", "waiting", "--import", "slow"];
    let more = ["--walk", "sampleapp", "--gzip"];
    let args = [&args[..], &others, &more].concat();
    thread::scope(|scope| {
        for python in pythons() {
            let (args, directory) = (&args, &directory);
            scope.spawn(move || {
                let version = python.version();
                let script = directory.path().join("inventory.py");
                let made = python.command(&script).args(args).output().unwrap();
                let told = String::from_utf8_lossy(&made.stderr);
                for part in [
                    "inventory: stuck: no end after 2 seconds\n",
                    "inventory: ending: the interpreter ended, status 7\n",
                    "inventory: asking waiting.Waiting for",
                    "inventory: beginning again without it\n",
                    // The progress: what comes after a second.
                    "inventory: importing sampleapp\n",
                ] {
                    assert!(told.contains(part), "{version}: {told}");
                }
                assert!(told.ends_with("inventory: cannot import stuck, ending\n"));
                assert_eq!(made.status.code(), Some(1), "{version}");
                let inventory = Inventory::read("made", &made.stdout[..]).unwrap();
                let knows = |module: &[u8], name: &[u8]| inventory.knows(module, name);
                assert_eq!(knows(MODELS, b"Outer"), Some(true), "{version}");
                assert_eq!(knows(MODELS, b"Gone"), Some(false), "{version}");
                assert_eq!(knows(b"stuck", b"Gone"), None, "{version}");
                assert_eq!(knows(b"ending", b"Gone"), None, "{version}");
                // Nobody knows what that finder would have.
                assert_eq!(knows(b"no_such", b"Gone"), None, "{version}");
            });
        }
    });
}

#[test]
fn the_order_of_hashes_changes_nothing() {
    let directory = deployment_with_kinds().unwrap();
    for python in pythons() {
        let script = directory.path().join("inventory.py");
        let made = |seed: &str| {
            let mut command = python.command(&script);
            command.args(["--import", "odd", "--walk", "parts"]);
            let made = command.env("PYTHONHASHSEED", seed).output().unwrap();
            assert!(made.status.success());
            made.stdout
        };
        assert!(made("0") == made("1234567"), "{}", python.version());
    }
}

/// Twice the modules, and four times the classes, that an application of Django with
/// 227 distributions was found to have.
#[test]
fn an_inventory_of_a_large_application_is_bounded_in_time_and_size() {
    let directory = deployment().unwrap();
    for package in 0..200 {
        let path = directory.path().join(format!("big/part{package}"));
        fs::create_dir_all(&path).unwrap();
        for module in 0..10 {
            let classes: Vec<String> = (0..20)
                .map(|class| {
                    format!(
                        "class Thing{class}(object):\n    def __init__(self, owner, count=1):\n        \
                         self.owner_{module}, self.count_{class} = owner, count\n"
                    )
                })
                .collect();
            fs::write(path.join(format!("module{module}.py")), classes.concat()).unwrap();
        }
        fs::write(path.join("__init__.py"), "").unwrap();
    }
    fs::write(directory.path().join("big/__init__.py"), "").unwrap();
    let Some(python) = pythons().pop() else {
        return;
    };
    let began = Instant::now();
    let made = run(&python, &directory, &["--walk", "big"]);
    println!("{:?}, {} bytes", began.elapsed(), made.stdout.len());
    assert!(made.success, "{}", made.stderr);
    assert!(made.stdout.len() < 5 << 20);
    assert!(began.elapsed() < Duration::from_secs(30));
}

#[test]
fn facts_are_the_same_wherever_the_class_is() {
    let directory = deployment().unwrap();
    fs::write(
        directory.path().join("told.py"),
        include_str!("inventory/told.py"),
    )
    .unwrap();
    let mut told = BTreeMap::<String, BTreeMap<String, Vec<String>>>::new();
    for python in pythons() {
        let made = run(&python, &directory, &["--import", "told"]);
        assert!(made.success, "{}", made.stderr);
        let inventory = Inventory::read("made", made.stdout.as_bytes()).unwrap();
        for name in TOLD {
            let Some(facts) = inventory.facts(b"told", name.as_bytes()) else {
                continue;
            };
            let by_facts = told.entry(name.to_owned()).or_default();
            let versions = by_facts.entry(facts.to_owned()).or_default();
            versions.push(python.version());
        }
    }
    let differing: Vec<_> = told.iter().filter(|(_, facts)| facts.len() > 1).collect();
    assert!(differing.is_empty(), "{differing:#?}");
    let lines: Vec<String> = told
        .iter()
        .map(|(name, facts)| format!("{name}: {}", facts.keys().next().expect("one")))
        .collect();
    if pythons()
        .iter()
        .any(|python| python.major == 3 && python.minor > 6)
    {
        insta::assert_snapshot!(lines.join("\n"), @r"
        Apart: class init=0-0 sets=alone
        Base: class init=1-* sets=owner
        Colour: class enum=RED:i1,BLUE:sblue%20%E2%9C%93,PAIR:t#710c115a,OTHER:?
        Declined: class base=ValueError init=2-2 sets=code
        Derived: class init=1-2 sets=_Derived__secret,_cache,half,owner,size
        Fixed: class init=1-1 attr=set data=x sets=x
        Growing: class base=list grow=append attr=get
        Made: class new=1-2 reduce_ex=#ae1bfc6c getnewargs=#806c5cd3
        Number: class base=int
        Paired: class getstate=#4ccb1bb3 setstate=#4ccb1bb3 unpack=2
        Point: class init=1-3 data=x,y,z sets=x,z
        Registered: class copyreg=told.registered
        Row: class base=tuple nodict new=2-2 tuple=id,name
        Slots: class nodict slots=_Slots__y,x
        Stateful: class getstate=#480e5c6b setstate=#6047da5f needs=x
        Zone: class base=datetime.tzinfo init=0-1 sets=minutes
        make: function 1-* #3d66c59f
        registered: function 1-1 #04a3e2b0
        ");
    }
}

#[test]
fn a_compressed_inventory_says_the_same() {
    let directory = deployment().unwrap();
    for python in pythons() {
        let script = directory.path().join("inventory.py");
        let made = |more: &[&str]| {
            let mut command = python.command(&script);
            command.args(["--import", "sampleapp.models"]).args(more);
            command.output().unwrap().stdout
        };
        let (plain, packed) = (made(&[]), made(&["--gzip"]));
        assert!(packed.len() * 2 < plain.len(), "{}", python.version());
        assert_eq!(packed, made(&["--gzip"]));
        let read = |bytes: &[u8]| Inventory::read("made", bytes).unwrap();
        assert_eq!(read(&packed), read(&plain));
    }
}

/// Django's own classes say whether the kinds are told as they are.
#[test]
fn django_is_listed_where_it_is() {
    let directory = deployment().unwrap();
    fs::write(directory.path().join("settings.py"), "SECRET_KEY = 'x'\n").unwrap();
    let safe = b"django.utils.safestring";
    for python in pythons() {
        let args = [
            "--django-settings",
            "settings",
            "--import",
            "django.utils.safestring",
        ];
        let made = run(&python, &directory, &args);
        if made.stderr.contains("No module named") {
            println!("skipped: Python {}: no Django", python.version());
            continue;
        }
        assert!(made.success, "{}", made.stderr);
        let inventory = Inventory::read("made", made.stdout.as_bytes()).unwrap();
        let django = inventory.framework("django").expect("it is installed");
        println!("Python {}: Django {django:?}", python.version());
        assert_eq!(inventory.knows(safe, b"SafeText"), Some(true));
        assert_eq!(
            inventory.is_bytes_based(safe, b"SafeString"),
            django < (2, 0) && python.major == 2
        );
        assert_eq!(inventory.has_no_dict(safe, b"SafeString"), django >= (4, 0));
    }
}
