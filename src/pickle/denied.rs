//! What the built-in deny list knows: ways from a pickle to code, files, processes
//! and the network.
//!
//! A list of bad names always leaves one out. So it is the other way round for what
//! is known whole: of the standard library, of numpy, pandas and of loaders, nothing
//! is called, unless pickling itself writes such a call (`names/produces.txt`, as the
//! interpreters and the recorded pickles say). Only packages that cannot be listed
//! whole, and names that are not even to be held, are listed as bad.

use std::sync::LazyLock;

use super::names;
use super::paths::Paths;
use super::scan::{Global, Scan};

/// Nothing of it is named: what it has leads out of the pickle, or importing it does.
const FORBIDDEN: u16 = 1;
/// Nothing of it is called, unless pickling writes that.
const CLOSED: u16 = 1 << 1;
/// Pickling calls it.
const CALL: u16 = 1 << 2;
/// Pickling makes instances of it, without a call of `__init__`.
const MAKE: u16 = 1 << 3;
/// Pickling takes it by `getattr`, to be called.
const GETATTR: u16 = 1 << 4;
/// It calls what it is given, or what that holds, then or later.
const APPLIES: u16 = 1 << 5;
/// What it gives is called by that.
const BINDS: u16 = 1 << 6;
/// Whoever is given it may call it.
const COMPUTES: u16 = 1 << 7;

/// Ways out that are not even to be held: whoever loads such a value might call it.
const WAYS_OUT: &str = "
    __builtin__.__import__ __builtin__.apply __builtin__.compile __builtin__.delattr
    __builtin__.eval __builtin__.execfile __builtin__.file __builtin__.open
    __builtin__.setattr _io.FileIO _io.open _pickle _posixsubprocess asyncio bdb
    builtins.__import__ builtins.breakpoint builtins.compile builtins.delattr
    builtins.eval builtins.exec builtins.open builtins.setattr cPickle cProfile code
    codeop commands ctypes distutils doctest ensurepip imp importlib io.FileIO io.open
    logging.config marshal multiprocessing nt os pdb pickle pkgutil platform popen2
    posix profile pty pydoc runpy shelve shutil site socket subprocess sys tempfile
    timeit trace types.CodeType types.FunctionType unittest urllib.FancyURLopener
    urllib.URLopener urllib.request urllib.urlopen urllib.urlretrieve urllib2.urlopen
    urllib2.build_opener webbrowser
    _frozen_importlib _frozen_importlib_external _posixshmem _winapi winreg _winreg
    antigravity this idlelib lib2to3 test.autotest test.libregrtest test.regrtest turtledemo venv pydoc_data zipapp compileall
    py_compile
    django.conf django.core.management django.core.serializers django.db.backends
    django.db.migrations django.template.Template django.template.base.Template
    django.template.engine django.template.loader django.test django.utils.autoreload
    django.utils.module_loading django.utils.six.moves six.moves future.builtins
    past.builtins pkg_resources setuptools pip wheel
    cloudpickle dill joblib jsonpickle klepto pathos multiprocess billiard yaml ruamel
    srsly pexpect ptyprocess paramiko fabric invoke plumbum psutil sh
    gevent.os gevent.subprocess gevent.socket eventlet.green execnet rpyc
    jinja2.Environment jinja2.Template jinja2.environment jinja2.sandbox mako
    numpy.f2py numpy.testing numpy.distutils scipy.io sqlalchemy.create_engine
    sqlalchemy.ext.serializer requests.api requests.get requests.post requests.put
    requests.patch requests.delete requests.head requests.options requests.request
    requests.session urllib3.connectionpool urllib3.poolmanager
    httpx aiohttp.client aiohttp.request IPython celery.bin kombu.serialization
    werkzeug.utils.import_string werkzeug.serving flask.cli gunicorn twisted.internet
    twisted.python.reflect zope.dottedname lxml.etree.parse lxml.objectify.parse
";

/// Packages that load or run what they are given, of which nothing is called.
const LOADERS: &str = "numpy pandas torch tensorflow keras jax onnx mlflow xgboost lightgbm
    catboost pyarrow polars dask h5py tables zarr sympy numexpr numba";

/// Of what pickling calls: what calls in turn what it is given, or what goes by names
/// that the pickle says.
const APPLY: &str = "__builtin__.map __builtin__.filter __builtin__.reduce __builtin__.iter
    __builtin__.property builtins.map builtins.filter builtins.iter
    builtins.property _functools.reduce functools.reduce itertools.imap itertools.ifilter itertools.ifilterfalse
    itertools.filterfalse itertools.starmap itertools.accumulate itertools.groupby
    itertools.takewhile itertools.dropwhile email.headerregistry._reconstruct_header";

/// What takes attributes and methods of what it is called with.
const BIND: &str = "operator.attrgetter operator.methodcaller";

/// Functions, and modules of such, that do nothing but compute: they may be given to
/// what calls them.
const PURE: &str = "__builtin__.abs __builtin__.len __builtin__.max __builtin__.min
    __builtin__.repr __builtin__.round __builtin__.sorted __builtin__.sum
    __builtin__.Ellipsis __builtin__.NotImplemented builtins.abs builtins.len builtins.max
    builtins.min builtins.repr builtins.round builtins.sorted builtins.sum
    builtins.Ellipsis builtins.NotImplemented json.dumps json.loads math cmath
    unicodedata textwrap html.escape html.unescape base64.b64decode base64.b64encode
    email.headerregistry.BaseHeader urllib.parse.quote urllib.parse.unquote
    urllib.parse.urlencode urllib.quote urllib.unquote urllib.urlencode uuid.uuid4
    datetime.datetime.now datetime.datetime.utcnow datetime.date.today";

/// Those of `operator`.
const OPERATORS: &str = "abs add and_ concat contains eq floordiv ge getitem gt index inv
    invert is_ is_not le lt mod mul ne neg not_ or_ pos pow sub truediv truth xor";

static BUILT_IN: LazyLock<Paths> = LazyLock::new(|| {
    let mut paths = Paths::default();
    for (list, flags) in [
        (WAYS_OUT, FORBIDDEN),
        (LOADERS, CLOSED),
        (APPLY, APPLIES),
        (BIND, BINDS),
        (PURE, COMPUTES),
    ] {
        for path in list.split_ascii_whitespace() {
            paths.insert(path, flags);
        }
    }
    for operator in OPERATORS.split_ascii_whitespace() {
        for module in ["operator", "_operator"] {
            paths.insert(&format!("{module}.{operator}"), COMPUTES);
        }
    }
    for (kind, path) in names::produced() {
        let flags = match kind {
            "c" => CALL | MAKE,
            "m" => MAKE,
            _ => GETATTR | CALL,
        };
        paths.insert(path, flags);
    }
    paths
});

/// Reads the lists, so that no request has to wait for that.
pub(super) fn prepare() {
    LazyLock::force(&BUILT_IN);
    names::is_standard(b"os", b"system");
}

/// A global, or its attribute, as it is used.
#[derive(Debug, Clone, Copy)]
struct Used<'s> {
    module: &'s str,
    name: &'s str,
    attribute: Option<&'s str>,
    /// The flags one of which a way to call it needs; 0 if it is not called.
    needs: u16,
}

/// How a pickle as a whole treats what it names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manners {
    /// Whatever is in it may be called by something else in it.
    calls_all: bool,
    /// Something is called that is nobody's here.
    calls_foreign: bool,
    /// What `getattr` gives is called.
    calls_attributes: bool,
    /// Attributes are taken of attributes.
    chains: bool,
}

impl Manners {
    pub(super) fn of(scan: &Scan<'_>) -> Self {
        let facts = scan.facts();
        let mut manners = Self {
            calls_all: facts.unseen_arguments || facts.call_of_partial,
            calls_foreign: false,
            calls_attributes: facts.getattr_called,
            chains: facts.chained,
        };
        for global in scan.raw_globals().filter(|global| global.roles.called) {
            let (module, name) = scan.named(global);
            let own = follow(module, name, None).own;
            manners.calls_all |= own & APPLIES != 0;
            manners.calls_foreign |= own & (CALL | MAKE) == 0;
        }
        manners.calls_attributes |= manners.calls_all || manners.calls_foreign;
        manners
    }

    /// Whether something in the pickle may call a method of an instance in it.
    pub(super) fn calls_methods(self, scan: &Scan<'_>) -> bool {
        scan.facts().method && self.calls_attributes
    }

    /// Whether the built-in list denies a global.
    pub(super) fn deny(self, scan: &Scan<'_>, global: &Global) -> bool {
        let (module, name) = scan.named(global);
        let roles = global.roles;
        let called = roles.called && global.with_arguments;
        let made = roles.instantiated || roles.reconstructed || roles.called;
        let given = global.given || global.is_data() && self.calls_all;
        let needs = match (called, made || given) {
            (true, _) => CALL,
            (false, true) => MAKE,
            (false, false) => 0,
        };
        let used = Used {
            module,
            name,
            attribute: None,
            needs,
        };
        let binds = called && follow(module, name, None).own & BINDS != 0;
        used.is_denied() || binds && (self.calls_all || self.calls_foreign)
    }

    /// Whether it denies that an attribute of a global is taken.
    pub(super) fn deny_attribute(self, module: &str, name: &str, attribute: &str) -> bool {
        if self.chains && is_internal(attribute) {
            return true;
        }
        let used = Used {
            module,
            name,
            attribute: Some(attribute),
            needs: if self.calls_attributes { GETATTR } else { 0 },
        };
        used.is_denied()
    }
}

/// Whether it is an attribute that Python itself gives functions and classes.
fn is_internal(attribute: &str) -> bool {
    attribute.starts_with("__") && attribute.ends_with("__") || attribute == "func_globals"
}

fn follow(module: &str, name: &str, attribute: Option<&str>) -> super::paths::Followed {
    let parts = module.split('.').chain(name.split('.'));
    BUILT_IN.follow(parts.chain(attribute))
}

impl<'s> Used<'s> {
    fn is_denied(self) -> bool {
        let Self {
            module,
            name,
            attribute,
            needs,
            ..
        } = self;
        let found = follow(module, name, attribute);
        let produced = found.own & (CALL | MAKE | GETATTR) != 0;
        let nested = attribute.is_some() || name.contains('.');
        let computing = if nested { found.own } else { found.any };
        let computes = computing & COMPUTES != 0 && needs != CALL;
        if computes || produced && (needs == 0 || found.own & needs != 0) {
            return false;
        }
        if found.any & FORBIDDEN != 0 || module.split('.').skip(1).any(|part| part == "__main__") {
            return true;
        }
        if found.any & CLOSED != 0 || names::is_standard(module.as_bytes(), name.as_bytes()) {
            // The first part is a class, or it is a module that is re-exported.
            let leads = nested && found.any & CLOSED == 0 && !names::is_listed(module, name);
            return needs != 0 || leads || nested && self.leads_out();
        }
        nested && (self.leads_out() || self.is_reexport())
    }

    /// The dotted name, with the attribute.
    fn parts(self) -> impl Iterator<Item = &'s str> + Clone {
        self.name.split('.').chain(self.attribute)
    }

    /// Whether it goes on from what only Python itself looks into.
    fn leads_out(self) -> bool {
        let mut parts = self.parts().peekable();
        std::iter::from_fn(|| parts.next().filter(|_| parts.peek().is_some())).any(is_internal)
    }

    /// Whether a module that is denied, or that is not to be called, is reached by a
    /// name that another has for it: `os.system` in `shutil`, or `_os.system`.
    fn is_reexport(self) -> bool {
        let mut parts = self.parts();
        while let Some(first) = parts.next() {
            let top = first.trim_start_matches('_');
            let path = std::iter::once(top).chain(parts.clone());
            let found = BUILT_IN.follow(path);
            let rest = parts.clone().next();
            let standard = |name: &str| names::is_standard(top.as_bytes(), name.as_bytes());
            if found.any & FORBIDDEN != 0
                || self.needs != 0
                    && found.own & self.needs == 0
                    && rest.is_some_and(|name| found.any & CLOSED != 0 || standard(name))
            {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use crate::pickle::{Extensions, Firewall, Scanner};

    fn denied(pickle: &[u8]) -> bool {
        let mut scanner = Scanner::default();
        let scan = scanner.scan(pickle, Extensions::NONE).unwrap();
        Firewall::built_in().check(&scan).is_err()
    }

    /// The ways in which a pickle calls a global.
    fn calls(module: &str, name: &str) -> Vec<Vec<u8>> {
        let short = |text: &str| [&[0x8c, text.len() as u8], text.as_bytes()].concat();
        let global = format!("c{module}\n{name}\n");
        let applied = format!("\x02cbuiltins\nmap\n{global}](X\x01\0\0\0xe\u{0}");
        let applied = applied.trim_end_matches('\0');
        vec![
            format!("{global}(Vx\ntR.").into_bytes(),
            format!("(Vx\ni{module}\n{name}\n.").into_bytes(),
            format!("({global}Vx\no.").into_bytes(),
            [b"\x80", applied.as_bytes(), b"\x86R."].concat(),
            [
                b"\x80\x04".to_vec(),
                short(module),
                short(name),
                b"\x93\x8c\x01x\x85R.".to_vec(),
            ]
            .concat(),
            // Given to a function of the application.
            format!("capp\napply\n({global}Vx\ntR.").into_bytes(),
            // As the base class that makes an instance.
            format!("ccopy_reg\n_reconstructor\n(capp\nC\n{global}Vx\ntR.").into_bytes(),
        ]
    }

    #[test]
    fn what_the_standard_library_and_loaders_can_do_is_not_called() {
        for name in [
            "codecs.open",
            "tarfile.open",
            "zipfile.ZipFile",
            "dbm.open",
            "anydbm.open",
            "pandas.read_pickle",
            "pandas.io.pickle.read_pickle",
            "cloudpickle.loads",
            "torch.load",
            "torch.serialization.load",
            "torch.hub.load",
            "smtplib.SMTP",
            "numpy.load",
            "numpy.fromfile",
            "gzip.open",
            "bz2.BZ2File",
            "lzma.open",
            "ftplib.FTP",
            "http.client.HTTPConnection",
            "telnetlib.Telnet",
            "sqlite3.connect",
            "logging.FileHandler",
            "logging.config.listen",
            "pathlib.Path.unlink",
            "fileinput.input",
            "linecache.getline",
            "glob.glob",
            "mailbox.mbox",
            "mmap.mmap",
            "zipimport.zipimporter",
            "xmlrpc.client.ServerProxy",
            "concurrent.futures.ProcessPoolExecutor",
            "threading.Thread",
            "signal.alarm",
            "os.system",
            "posix.system",
            "subprocess.Popen",
            "_thread.start_new_thread",
            "builtins.eval",
            "builtins.exec",
            "builtins.input",
            "builtins.help",
            "builtins.globals",
            "__builtin__.input",
            "__builtin__.execfile",
            "tomllib.load",
            "dataclasses.make_dataclass",
            "enum.EnumMeta",
            "typing._eval_type",
            "inspect.getsource",
            "operator.call",
            "pydoc.locate",
            "copyreg.__newobj__",
            "functools.partialmethod",
            "weakref.finalize",
            "atexit.register",
            "gc.get_objects",
            "faulthandler.enable",
            "ctypes.CDLL",
            "joblib.load",
            "dill.loads",
            "six.moves.builtins.eval",
            "yaml.load",
        ] {
            let (module, name) = name.rsplit_once('.').unwrap();
            for pickle in calls(module, name) {
                assert!(denied(&pickle), "{}", pickle.escape_ascii());
            }
        }
    }

    #[test]
    fn a_name_does_not_hide_behind_another() {
        for (module, name) in [
            ("logging", "os.system"),
            ("random", "_os.system"),
            ("collections", "_sys.exit"),
            ("app.views", "os.system"),
            ("app.views", "_os.popen"),
            ("app.views", "codecs.open"),
            ("app.views", "handler.__globals__.get"),
            ("app.views", "Handler.__init__.__globals__.get"),
            ("app.views", "__builtins__.eval"),
            ("datetime", "sys.modules.get"),
            ("decimal", "Decimal.__class__.mro"),
            ("unittest.__main__", "main"),
            ("app.six.moves.builtins.x", "builtins.eval"),
        ] {
            let short = |text: &str| [&[0x8c, text.len() as u8], text.as_bytes()].concat();
            let start = [b"\x80\x04".to_vec(), short(module), short(name)].concat();
            let call = [&start[..], b"\x93\x8c\x01x\x85R."].concat();
            assert!(denied(&call), "{module}.{name}");
            let (name, attribute) = name.rsplit_once('.').unwrap_or(("os", "system"));
            let getattr =
                format!("cbuiltins\ngetattr\n(c{module}\n{name}\nV{attribute}\ntR(Vx\ntR.");
            assert!(
                denied(getattr.as_bytes()),
                "getattr {module}.{name}.{attribute}"
            );
        }
    }

    #[test]
    fn what_calls_by_name_is_not_called_where_something_calls_it() {
        // Each element's method is called: a file is deleted.
        let unlink =
            b"ccollections\ndeque\n(cbuiltins\nmap\n(coperator\nmethodcaller\n(Vunlink\ntR\
            (cpathlib\nPosixPath\n(Vx\ntRltRtR.";
        assert!(denied(unlink));
        // A method by getattr, of a class and of an instance.
        for target in ["cpathlib\nPosixPath\n", "cpathlib\nPosixPath\n(Vx\ntR"] {
            let method = format!(
                "ccollections\ndeque\n(cbuiltins\nmap\n(cbuiltins\ngetattr\n({target}Vunlink\ntR\
                 (cpathlib\nPosixPath\n(Vx\ntRltRtR."
            );
            assert!(denied(method.as_bytes()), "{method}");
        }
        // A function that numpy is told to import.
        assert!(denied(
            b"cnumpy.core\n_ufunc_reconstruct\n(Vos\nVsystem\ntR."
        ));
        assert!(!denied(
            b"cnumpy.core\n_ufunc_reconstruct\n(Vnumpy.core.umath\nVadd\ntR."
        ));
        // A class of the pickle's own making.
        assert!(denied(
            b"cbuiltins\ntype\n(VX\n(cbuiltins\nobject\nt(dVf\nccodecs\nopen\nstR."
        ));
        // Alone, they are values.
        assert!(!denied(b"coperator\nmethodcaller\n(Vunlink\ntR."));
        assert!(!denied(b"cfunctools\npartial\n(cjson\ndumps\ntR."));
        assert!(!denied(b"cbuiltins\ntype\n(NtR."));
    }
}
