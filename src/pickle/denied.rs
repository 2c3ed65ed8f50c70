//! The built-in deny list: ways from a pickle to code, files, processes and the network.
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
/// Calls its arguments, or what they hold, then or later.
const APPLIES: u16 = 1 << 5;
/// Gives something that calls what it is called with.
const BINDS: u16 = 1 << 6;
/// Whoever is given it may call it.
const COMPUTES: u16 = 1 << 7;
/// Takes items or attributes out of its arguments: only pickles call it, nothing in them
/// does.
const DIGS: u16 = 1 << 8;

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
    antigravity this idlelib lib2to3 test.autotest test.libregrtest test.support test.regrtest turtledemo venv pydoc_data zipapp compileall
    py_compile
    django.conf django.core.management django.core.serializers django.db.backends
    django.db.migrations django.template.Template django.template.base.Template
    django.template.engine django.template.loader django.test django.utils.autoreload
    django.utils.module_loading django.utils.six.moves six.moves future.builtins
    past.builtins pkg_resources setuptools pip wheel
    cloudpickle dill joblib jsonpickle klepto pathos multiprocess billiard
    srsly pexpect ptyprocess paramiko fabric invoke plumbum psutil sh
    gevent.os gevent.subprocess gevent.socket eventlet.green execnet rpyc
    jinja2.Environment jinja2.Template jinja2.environment jinja2.sandbox mako
    numpy.f2py numpy.testing numpy.distutils scipy.io sqlalchemy.create_engine
    sqlalchemy.ext.serializer requests.api requests.get requests.post requests.put
    requests.patch requests.delete requests.head requests.options requests.request
    requests.session urllib3.connectionpool urllib3.poolmanager
    httpx.get httpx.post httpx.put httpx.patch httpx.delete httpx.head httpx.options
    httpx.request httpx.stream httpx.Client httpx.AsyncClient httpx.HTTPTransport
    httpx.AsyncHTTPTransport httpx._api httpx._client httpx._main httpx._transports
    aiohttp.client aiohttp.request IPython celery.bin kombu.serialization
    kombu.utils.imports celery.utils.imports celery.loaders celery.platforms
    celery.concurrency requests.packages botocore.session boto.utils docker.client docker.from_env ansible.module_utils salt.client
    tornado.util.exec_in tornado.util.import_object tornado.template tornado.process
    pydantic.utils.import_string pydantic.v1.utils.import_string pydantic.v1.typing
    pydantic._internal._validators.import_string pydantic._internal._typing_extra
    attr._make._compile_and_eval attr._make._make_method attr._make._linecache_and_compile
    attr._make._eval_snippets sqlalchemy.util.langhelpers._exec_code_in_env
    sqlalchemy.util.langhelpers._exec_code sqlalchemy.util.langhelpers.PluginLoader
    sqlalchemy.util.compat.exec_
    sqlalchemy.util.import_ sqlalchemy.engine.create six.exec_ six._import_module
    future.utils.exec_ decorator.FunctionMaker wrapt.resolve_path wrapt.importer
    jinja2.utils.import_string jinja2.loaders jinja2.bccache chameleon docutils.core
    traitlets.utils.importstring traitlets.config ipykernel hydra.utils hydra._internal fire.Fire fire.core
    pyramid.path stevedore pluggy pytest _pytest nose.core nose.main py.process py._process py.path py._path
    cffi pycparser Cython cython pyximport zerorpc Pyro4 Pyro5 bottle.load
    bottle.template web.template click.edit click.launch click._termui_impl click.termui
    PIL.ImageMath PIL.ImageShow PIL.ImageGrab PIL.Image.open openpyxl.load_workbook
    xlrd.open_workbook markdown.markdownFromFile
    pymemcache.client pymemcache.serde memcache.Client pylibmc.Client pylibmc.client
    pylibmc.pools aiomcache.Client aiomcache.client bmemcached.Client bmemcached.client
    redis.Redis redis.StrictRedis redis.client redis.connection rq.serializers rq.utils
    django.contrib.sessions.serializers
    django.core.cache.backends django.core.mail.backends django_redis.serializers
    django_redis.client flask_caching.backends cachelib beaker.cache dogpile.cache
    diskcache sqlitedict zodbpickle ZODB bsddb bsddb3 networkx.read_gpickle
    networkx.readwrite nltk.data gensim.utils statsmodels.iolib.smpickle
    sklearn.externals skops.io pymongo.MongoClient pymongo.mongo_client psycopg2.connect
    psycopg2.pool MySQLdb.connect pymysql.connect
    werkzeug.utils.import_string werkzeug.serving flask.cli gunicorn twisted.internet
    twisted.python.reflect zope.dottedname lxml.etree.parse lxml.objectify.parse
";

/// Packages that load or run what they are given, of which nothing is called.
const LOADERS: &str = "numpy pandas torch tensorflow keras jax onnx mlflow xgboost lightgbm
    catboost pyarrow polars dask h5py tables zarr sympy numexpr numba
    yaml ruamel";

/// Callables that pickling calls, and that in turn call their arguments, or look things
/// up by names that the pickle says.
const APPLY: &str = "__builtin__.map __builtin__.filter __builtin__.reduce __builtin__.iter
    __builtin__.property builtins.map builtins.filter builtins.iter
    builtins.property _functools.reduce functools.reduce itertools.imap itertools.ifilter itertools.ifilterfalse
    itertools.filterfalse itertools.starmap itertools.accumulate itertools.groupby
    itertools.takewhile itertools.dropwhile email.headerregistry._reconstruct_header";

/// Callables that give an attribute or an item: a chain of these leads from any class to
/// any function, each piece of which nobody denies.
const DIG: &str = "__builtin__.getattr builtins.getattr operator.getitem _operator.getitem
    operator.itemgetter _operator.itemgetter operator.attrgetter _operator.attrgetter
    operator.methodcaller _operator.methodcaller";

/// Makers of callables that take attributes and methods of what they are called with.
const BIND: &str = "operator.attrgetter operator.methodcaller operator.itemgetter
    _operator.attrgetter _operator.methodcaller _operator.itemgetter";

/// Attributes that lead from a function, class or module to all that it can name.
const INNER: &str = "__builtins__ __closure__ __code__ __dict__ __globals__ __loader__ __self__
    __spec__ __subclasses__ func_closure func_code func_globals";

/// Functions, and modules of such, that do nothing but compute: they may be given to
/// what calls them.
const PURE: &str = "__builtin__.abs __builtin__.len __builtin__.max __builtin__.min
    __builtin__.repr __builtin__.round __builtin__.sorted __builtin__.sum
    __builtin__.Ellipsis __builtin__.NotImplemented builtins.abs builtins.len builtins.max
    builtins.min builtins.repr builtins.round builtins.sorted builtins.sum
    builtins.Ellipsis builtins.NotImplemented json.dumps json.loads math cmath
    posixpath.join posixpath.basename posixpath.dirname posixpath.split posixpath.splitext
    posixpath.normpath posixpath.normcase posixpath.isabs
    unicodedata textwrap html.escape html.unescape base64.b64decode base64.b64encode
    email.headerregistry.BaseHeader urllib.parse.quote urllib.parse.unquote
    urllib.parse.urlencode urllib.quote urllib.unquote urllib.urlencode uuid.uuid4
    datetime.datetime.now datetime.datetime.utcnow datetime.date.today";

/// The functions of `operator`.
const OPERATORS: &str = "abs add and_ concat contains eq floordiv ge gt index inv
    invert is_ is_not le lt mod mul ne neg not_ or_ pos pow sub truediv truth xor";

static BUILT_IN: LazyLock<Paths> = LazyLock::new(|| {
    let mut paths = Paths::default();
    for (list, flags) in [
        (WAYS_OUT, FORBIDDEN),
        (LOADERS, CLOSED),
        (APPLY, APPLIES),
        (BIND, BINDS),
        (DIG, DIGS),
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
        // The other of 2 and 3 has it by another name.
        let (module, name) = path.rsplit_once('.').unwrap_or_default();
        for cross in [names::to_py2, names::to_py3] {
            let (module, name) = cross(module.as_bytes(), name.as_bytes());
            if let (Ok(module), Ok(name)) = (str::from_utf8(module), str::from_utf8(name)) {
                paths.insert(&format!("{module}.{name}"), flags);
            }
        }
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

/// The uses that a pickle as a whole makes of the things that it names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manners {
    /// Whatever is in it may be called by something else in it.
    calls_all: bool,
    /// Things that are neither called nor given to a call may be called all the same:
    /// they are in an argument of a call that is nobody's here, or are methods for Python
    /// to find.
    calls_data: bool,
    /// Something that calls what it is given has a function that a call gave.
    calls_results: bool,
    /// Something is called that is nobody's here.
    calls_foreign: bool,
    /// The result of a `getattr` is called.
    calls_attributes: bool,
    /// Attributes are taken of attributes.
    chains: bool,
}

impl Manners {
    pub(super) fn of(scan: &Scan<'_>) -> Self {
        let facts = scan.facts();
        let mut manners = Self {
            calls_all: facts.unseen_arguments || facts.call_of_partial,
            calls_data: facts.nested_arguments || facts.hook,
            calls_results: false,
            calls_foreign: false,
            calls_attributes: facts.getattr_called,
            chains: facts.chained,
        };
        let used = |global: &&Global| global.roles.called || global.roles.instantiated;
        for global in scan.raw_globals().filter(used) {
            let (module, name) = scan.named(global);
            let own = follow(module, name, None).own;
            let foreign = global.roles.called && own & (CALL | MAKE) == 0;
            manners.calls_all |= own & APPLIES != 0;
            manners.calls_results |= own & APPLIES != 0 && global.applies_result;
            manners.calls_foreign |= foreign;
            manners.calls_data |= foreign && global.nested_arguments;
        }
        manners.calls_data |= manners.calls_all;
        manners.calls_attributes |= manners.calls_all || manners.calls_foreign;
        manners
    }

    /// Whether something in the pickle may call a method of an instance in it.
    pub(super) fn calls_methods(self, scan: &Scan<'_>) -> bool {
        scan.facts().method && self.calls_attributes
    }

    /// Whether something in it calls what a call gave, which has no name.
    pub(super) fn calls_results(self) -> bool {
        self.calls_results
    }

    /// Whether the built-in list denies a global.
    pub(super) fn deny(self, scan: &Scan<'_>, global: &Global) -> bool {
        let (module, name) = scan.named(global);
        let roles = global.roles;
        let called = roles.called && global.with_arguments;
        let made = roles.instantiated || roles.reconstructed || roles.called;
        let given = global.given || global.is_data() && self.calls_data;
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
        let own = follow(module, name, None).own;
        let binds = made && own & BINDS != 0;
        used.is_denied()
            || given && own & DIGS != 0
            || binds && (self.calls_all || self.calls_foreign)
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

/// Whether it is the name of an exception's class.
fn is_error(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_uppercase())
        && ["Error", "Warning", "Exception"]
            .iter()
            .any(|end| name.ends_with(end))
}

/// Whether it is the name of a constant.
fn is_constant(name: &str) -> bool {
    name.contains('_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
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
        let is_inner = |part: &str| {
            (part.starts_with("__") || part.starts_with("func_"))
                && INNER.split_ascii_whitespace().any(|inner| inner == part)
        };
        if self.parts().any(is_inner) || !nested && is_internal(name) {
            return true;
        }
        if computes || produced && (needs == 0 || found.own & needs != 0) {
            return false;
        }
        // Where a package cannot be listed whole, its exceptions go by their names.
        let whole = names::is_standard(module.as_bytes(), name.as_bytes());
        if found.any & (CLOSED | FORBIDDEN) == CLOSED && !whole && !nested && is_error(name) {
            return false;
        }
        // The members of enumerations that C made of its constants.
        if needs == 0 && module == "socket" && is_constant(name) {
            return false;
        }
        if found.any & FORBIDDEN != 0 || module.split('.').skip(1).any(|part| part == "__main__") {
            return true;
        }
        if found.any & CLOSED != 0 || whole {
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
