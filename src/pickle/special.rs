//! Globals whose calls or states some runtimes take and others refuse.

use super::machine::View;
use super::node::{Kind, Node};
use super::opcode::{LONG, LONG1, NEWOBJ, NEWOBJ_EX, STRING};
use super::operands;

/// A global that a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Special {
    Ordinary,
    /// `builtins.getattr`
    Getattr,
    /// `copyreg._reconstructor`
    Reconstructor,
    /// `_codecs.encode`: bytes below protocol 3
    CodecsEncode,
    /// Python 2's `str`, Python 3's text type
    Str,
    /// Python 2's `unicode`
    Unicode,
    /// Python 2's `long`, which Python 3 means its `int` by
    Long,
    /// Built-ins that allocate as much as an integer says
    Sized,
    /// `range`, which does so in Python 2
    Range,
    /// `datetime.time`
    Time,
    /// `array.array`
    Array,
    /// Iterators, which Python 2 pickles without a state
    Iterator,
    /// `UnicodeDecodeError` and its siblings
    UnicodeError,
    /// `django.utils.safestring.SafeString`: of bytes before Django 2.0
    SafeString,
    /// What else `django.utils.safestring` has
    SafeText,
    /// `SafeBytes` of the same: Python 2's `str`, Python 3's `bytes`
    SafeBytes,
    /// Written in Python once, in C since: `object.__new__` makes none
    Native,
    /// `decimal.Context`, which takes other arguments in C
    Context,
    /// `StringIO.StringIO`, which Python 3 takes for `io.StringIO`
    StringIo,
    /// `operator.or_`: with `functools.reduce`, how unions of types are pickled
    Or,
    /// `functools.reduce`
    Reduce,
    /// Cookies, which learned `SameSite` in 3.8
    Morsel,
    /// `http.HTTPStatus`, which learns new codes
    HttpStatus,
    /// What has attributes since that no state of Python 2 has, and needs them
    Grown,
    /// Django's `Query` and `QuerySet`, which are tied to its series
    Query,
    /// `django.db.models.base.model_unpickle`
    Model,
    /// `django.db.models.base.ModelState`
    ModelState,
    HttpResponse,
    /// `django.http.response.ResponseHeaders`, since Django 3.2
    ResponseHeaders,
    /// Django's signers, which learned of algorithms and of older keys
    Signer,
    /// `EmailMultiAlternatives`, whose alternatives are named tuples since Django 5.2
    Mail,
    /// `django.utils.timezone.FixedOffset`
    FixedOffset,
    /// `zipfile.ZipInfo`, which has slots
    ZipInfo,
    /// `statistics.NormalDist`, which had slots and then said its state itself
    NormalDist,
    /// `random.Random`, whose methods are pickled by their names
    Random,
    /// `numpy.core._ufunc_reconstruct`
    Ufunc,
    /// `io.BytesIO`
    BytesIo,
    /// `TimeoutError`, which took in those of other modules
    Timeout,
    /// That of `concurrent.futures`
    FuturesTimeout,
    /// What types with arguments are made by: `list[int]`
    Subscript,
    /// `functools.partial`
    Partial,
    /// `type`: of one argument, it says what that is
    Type,
}

bitflags::bitflags! {
    /// What a pickle does that some reader refuses.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
    pub(super) struct Shapes: u64 {
        /// A Python 2 `time` with seconds of 24 and more: 3.6 takes them for
        /// an hour.
        const TIME_SECONDS = 1;
        /// An array of type code `c`.
        const ARRAY_CHAR = 1 << 1;
        /// An array of type code `q` or `Q`.
        const ARRAY_LONG_LONG = 1 << 2;
        /// An iterator's state.
        const ITERATOR_STATE = 1 << 3;
        /// A safe string's `__dict__`.
        const SAFE_STRING_STATE = 1 << 4;
        /// A `SafeString` of non-ASCII text.
        const SAFE_STRING_NON_ASCII = 1 << 5;
        /// A `UnicodeError` with text arguments.
        const UNICODE_ERROR_TEXT = 1 << 6;
        const MORSEL = 1 << 7;
        const QUERY = 1 << 8;
        const MODEL = 1 << 9;
        const MODEL_STATE = 1 << 10;
        const HTTP_RESPONSE = 1 << 11;
        const RESPONSE_HEADERS = 1 << 12;
        /// A `StringIO`'s `__dict__`.
        const STRING_IO_STATE = 1 << 13;
        /// An instance of a class that is native to Python 3, without arguments.
        const NATIVE = 1 << 14;
        /// A decimal context with its arguments.
        const CONTEXT_ARGUMENTS = 1 << 15;
        /// `operator.or_`.
        const OR = 1 << 16;
        /// A call of `functools.reduce`.
        const REDUCE = 1 << 18;
        /// `SafeBytes` of a `str`.
        const SAFE_BYTES_OF_STR = 1 << 17;
        /// The state of what has more attributes in Python 3.
        const GROWN_STATE = 1 << 19;
        /// An instance of a class of integers, made of what Python 3 writes.
        const INT_ON_LONG = 1 << 20;
        /// HTTP statuses that are new in this version.
        const STATUS_37 = 1 << 21;
        const STATUS_38 = 1 << 22;
        const STATUS_39 = 1 << 23;
        /// A state of Django's `Query`.
        const QUERY_STATE = 1 << 24;
        const SIGNER = 1 << 25;
        const MAIL = 1 << 26;
        /// A mail with alternatives that are plain tuples.
        const PLAIN_ALTERNATIVES = 1 << 27;
        const FIXED_OFFSET = 1 << 28;
        /// A `FixedOffset` whose name is text.
        const OFFSET_NAME_TEXT = 1 << 29;
        const ZIP_INFO = 1 << 30;
        /// A `NormalDist` with the values of its slots, as until 3.10.8 and 3.11.0.
        const NORMAL_SLOTS = 1 << 31;
        /// A `NormalDist` with the state that it has said itself since.
        const NORMAL_PAIR = 1 << 32;
        /// A method of `random` that Python 2 lacks.
        const RANDOM_METHOD = 1 << 33;
        /// A `range` beyond 64 bits.
        const WIDE_RANGE = 1 << 34;
        /// A function of numpy by a name that is text.
        const UFUNC_TEXT = 1 << 35;
        /// A decimal context's `__dict__`.
        const CONTEXT_STATE = 1 << 36;
        /// A `BytesIO` of a `str`.
        const BYTES_IO_OF_STR = 1 << 37;
        /// A `TimeoutError` without an error number: a system call gives one.
        const TIMEOUT = 1 << 38;
        /// A `TimeoutError` of `concurrent.futures`, or of `asyncio` before 3.8.
        const FUTURES_TIMEOUT = 1 << 39;
    }
}

bitflags::bitflags! {
    /// Which of the strings that rules look for are in a pickle: keys of states.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
    pub(super) struct Said: u32 {
        const DB = 1;
        const SAMESITE = 1 << 1;
        /// What Python 3 adds to the states of mails, log records and configurations.
        const GROWN = 1 << 2;
        const ALGORITHM = 1 << 3;
        const SHA1 = 1 << 4;
        const FALLBACK_KEYS = 1 << 5;
        /// `_compresslevel` and `compress_level`: one attribute, by release.
        const COMPRESSLEVEL = 1 << 6;
        const COMPRESS_LEVEL = 1 << 7;
        const END_OFFSET = 1 << 8;
        /// What Django's queries keep, by series.
        const TABLES = 1 << 9;
        const PRIVATE_EXTRA = 1 << 10;
        const EXTRA = 1 << 11;
        const EXPLAIN_QUERY = 1 << 12;
        const EXTRA_CACHE = 1 << 13;
        const ALIAS_COLS = 1 << 14;
        const EXPLAIN_INFO = 1 << 15;
        /// A name that Python itself looks for in objects, or what may be one.
        const HOOK = 1 << 16;
    }
}

impl Said {
    /// Every string of a pickle comes here: by its length, most are none of these.
    #[inline]
    pub(super) fn of(text: &[u8]) -> Self {
        let (known, said): (&[u8], _) = match text.len() {
            2 => (b"db", Self::DB),
            4 => (b"sha1", Self::SHA1),
            5 => (b"extra", Self::EXTRA),
            6..=19 => return Self::of_longer(text),
            _ => return Self::empty(),
        };
        if text == known { said } else { Self::empty() }
    }

    fn of_longer(text: &[u8]) -> Self {
        match text {
            b"policy" | b"stack_info" | b"_interpolation" => Self::GROWN,
            b"samesite" => Self::SAMESITE,
            b"algorithm" => Self::ALGORITHM,
            b"fallback_keys" => Self::FALLBACK_KEYS,
            b"_compresslevel" => Self::COMPRESSLEVEL,
            b"compress_level" => Self::COMPRESS_LEVEL,
            b"_end_offset" => Self::END_OFFSET,
            b"tables" => Self::TABLES,
            b"_extra" => Self::PRIVATE_EXTRA,
            b"explain_query" => Self::EXPLAIN_QUERY,
            b"_extra_select_cache" => Self::EXTRA_CACHE,
            b"alias_cols" => Self::ALIAS_COLS,
            b"explain_info" => Self::EXPLAIN_INFO,
            b"__main__" => Self::empty(),
            [b'_', b'_', .., b'_', b'_'] => Self::HOOK,
            _ => Self::empty(),
        }
    }
}

/// Which argument of an iterator is a function, if one is.
pub(super) fn takes_function_at(module: &[u8], name: &[u8]) -> usize {
    usize::from(module == b"itertools" && matches!(name, b"accumulate" | b"groupby"))
}

/// A built-in type of which instances only hold what they are made from.
pub(super) fn is_holder(module: &[u8], name: &[u8]) -> bool {
    let holders = [
        "object",
        "dict",
        "list",
        "tuple",
        "set",
        "frozenset",
        "int",
        "long",
        "float",
        "complex",
        "bool",
        "str",
        "unicode",
        "bytes",
        "bytearray",
    ];
    matches!(module, b"builtins" | b"__builtin__")
        && holders.iter().any(|holder| holder.as_bytes() == name)
}

impl Special {
    pub(super) fn of(module: &[u8], name: &[u8]) -> Self {
        match (module, name) {
            (b"builtins" | b"__builtin__", name) => match name {
                b"getattr" => Self::Getattr,
                b"str" => Self::Str,
                b"unicode" => Self::Unicode,
                b"long" => Self::Long,
                b"reduce" => Self::Reduce,
                b"type" => Self::Type,
                b"TimeoutError" => Self::Timeout,
                b"bytes" | b"bytearray" | b"list" | b"tuple" => Self::Sized,
                b"range" | b"xrange" => Self::Range,
                b"iter" | b"reversed" | b"enumerate" | b"map" | b"zip" | b"filter" => {
                    Self::Iterator
                }
                b"UnicodeDecodeError" | b"UnicodeEncodeError" | b"UnicodeTranslateError" => {
                    Self::UnicodeError
                }
                _ => Self::Ordinary,
            },
            (
                b"exceptions",
                b"UnicodeDecodeError" | b"UnicodeEncodeError" | b"UnicodeTranslateError",
            ) => Self::UnicodeError,
            (b"itertools", _) => Self::Iterator,
            (b"copyreg" | b"copy_reg", b"_reconstructor") => Self::Reconstructor,
            (b"_codecs", b"encode") => Self::CodecsEncode,
            (b"datetime", b"time") => Self::Time,
            (b"array", b"array") => Self::Array,
            (b"http.cookies" | b"Cookie", b"Morsel") => Self::Morsel,
            (b"http", b"HTTPStatus") => Self::HttpStatus,
            (b"email.message", b"Message")
            | (b"logging", b"LogRecord")
            | (
                b"ConfigParser" | b"configparser",
                b"ConfigParser" | b"RawConfigParser" | b"SafeConfigParser",
            ) => Self::Grown,
            (module, _) if module.starts_with(b"email.mime.") => Self::Grown,
            (b"django.utils.safestring", b"SafeString") => Self::SafeString,
            (b"django.utils.safestring", b"SafeBytes") => Self::SafeBytes,
            (b"django.utils.safestring", _) => Self::SafeText,
            (b"decimal", b"Context") => Self::Context,
            (b"xml.etree.ElementTree", b"Element") => Self::Native,
            (b"StringIO", b"StringIO") => Self::StringIo,
            (b"_operator" | b"operator", b"or_") => Self::Or,
            (b"_operator" | b"operator", b"getitem") | (b"types", b"GenericAlias") => {
                Self::Subscript
            }
            (b"concurrent.futures._base", b"TimeoutError") => Self::FuturesTimeout,
            (b"zipfile", b"ZipInfo") => Self::ZipInfo,
            (b"statistics", b"NormalDist") => Self::NormalDist,
            (b"random", b"Random") => Self::Random,
            (b"_io" | b"io", b"BytesIO") => Self::BytesIo,
            (b"numpy.core", b"_ufunc_reconstruct") => Self::Ufunc,
            (b"django.core.signing", b"Signer" | b"TimestampSigner") => Self::Signer,
            (b"django.core.mail.message", b"EmailMultiAlternatives") => Self::Mail,
            (b"django.utils.timezone", b"FixedOffset") => Self::FixedOffset,
            (b"_functools" | b"functools", b"reduce") => Self::Reduce,
            (b"_functools" | b"functools", b"partial") => Self::Partial,
            (b"django.db.models.base", b"model_unpickle") => Self::Model,
            (b"django.db.models.base", b"ModelState") => Self::ModelState,
            (b"django.http.response" | b"django.http", name) => match name {
                b"ResponseHeaders" => Self::ResponseHeaders,
                b"JsonResponse" => Self::HttpResponse,
                _ if name.starts_with(b"HttpResponse") => Self::HttpResponse,
                _ => Self::Ordinary,
            },
            (module, b"Query" | b"QuerySet")
                if module.starts_with(b"django.db.models.query")
                    || module.starts_with(b"django.db.models.sql") =>
            {
                Self::Query
            }
            _ => Self::Ordinary,
        }
    }

    /// Whether it may call what it is given: of these, it is known what they do with
    /// it.
    pub(super) fn may_call(self) -> bool {
        !matches!(
            self,
            Self::Getattr | Self::Reconstructor | Self::Subscript | Self::Type | Self::CodecsEncode
        )
    }

    /// What the mere presence of it says.
    pub(super) fn named(self) -> Shapes {
        match self {
            Self::Or => Shapes::OR,
            Self::Morsel => Shapes::MORSEL,
            Self::Query => Shapes::QUERY,
            Self::Model => Shapes::MODEL,
            Self::ModelState => Shapes::MODEL_STATE,
            Self::HttpResponse => Shapes::HTTP_RESPONSE,
            Self::ResponseHeaders => Shapes::RESPONSE_HEADERS,
            Self::Mail => Shapes::MAIL,
            Self::FixedOffset => Shapes::FIXED_OFFSET,
            _ => Shapes::empty(),
        }
    }

    /// What a call of it says.
    pub(super) fn called(self, op: u8, (args, count): (&[Node], u32), view: &View<'_>) -> Shapes {
        let first = args.first().copied();
        let text = first.and_then(|arg| view.string(arg));
        match self {
            Self::Time if first.is_some_and(|arg| py2_time(arg, view).nth(2) >= Some(24)) => {
                Shapes::TIME_SECONDS
            }
            Self::HttpStatus => match first.and_then(Node::int) {
                Some(421) => Shapes::STATUS_37,
                Some(451) => Shapes::STATUS_38,
                Some(103 | 418 | 425) => Shapes::STATUS_39,
                _ => Shapes::empty(),
            },
            Self::Array => match text {
                Some(b"c") if count > 1 => Shapes::ARRAY_CHAR,
                Some(b"q" | b"Q") => Shapes::ARRAY_LONG_LONG,
                _ => Shapes::empty(),
            },
            Self::UnicodeError => {
                let is_text = |arg: Option<&Node>| arg.is_some_and(|arg| arg.kind == Kind::Text);
                if is_text(args.first()) || is_text(args.last()) {
                    Shapes::UNICODE_ERROR_TEXT
                } else {
                    Shapes::empty()
                }
            }
            Self::SafeString if matches!(op, NEWOBJ | NEWOBJ_EX) => safe_string(first, view),
            Self::SafeBytes if first.is_some_and(|arg| arg.kind == Kind::Str) => {
                Shapes::SAFE_BYTES_OF_STR
            }
            Self::Context if count > 0 => Shapes::CONTEXT_ARGUMENTS,
            Self::Reduce => Shapes::REDUCE,
            Self::Timeout if count < 2 => Shapes::TIMEOUT,
            Self::FuturesTimeout => Shapes::FUTURES_TIMEOUT,
            Self::Range if args.iter().any(|arg| is_wide(*arg, view)) => Shapes::WIDE_RANGE,
            Self::Ufunc if args.get(1).is_some_and(|arg| arg.kind == Kind::Text) => {
                Shapes::UFUNC_TEXT
            }
            _ => Shapes::empty(),
        }
    }

    /// What it says to be reconstructed, from an instance of a base class.
    pub(super) fn reconstructed(self, base: Option<Node>, view: &View<'_>) -> Shapes {
        match self {
            Self::SafeString => safe_string(base, view),
            Self::SafeBytes => Shapes::SAFE_BYTES_OF_STR,
            Self::Native | Self::Context => Shapes::NATIVE,
            // The state that follows is given to what a function made.
            Self::Grown => Shapes::GROWN_STATE,
            Self::Signer => Shapes::SIGNER,
            Self::Query => Shapes::QUERY_STATE,
            _ => Shapes::empty(),
        }
    }

    /// What a state given to an instance of it says.
    pub(super) fn built(self, state: Node, view: &View<'_>) -> Shapes {
        let first = || view.elements(state)?.0.first().map(|first| first.kind);
        match self {
            Self::Iterator => Shapes::ITERATOR_STATE,
            Self::StringIo => Shapes::STRING_IO_STATE,
            Self::Grown => Shapes::GROWN_STATE,
            Self::SafeString | Self::SafeText => Shapes::SAFE_STRING_STATE,
            Self::Signer => Shapes::SIGNER,
            Self::Query => Shapes::QUERY_STATE,
            Self::ZipInfo => Shapes::ZIP_INFO,
            Self::Context if state.kind == Kind::Dict => Shapes::CONTEXT_STATE,
            Self::BytesIo if matches!(first(), Some(Kind::Str)) => Shapes::BYTES_IO_OF_STR,
            Self::NormalDist => match first() {
                Some(Kind::None) => Shapes::NORMAL_SLOTS,
                Some(Kind::Float | Kind::Int) => Shapes::NORMAL_PAIR,
                _ => Shapes::empty(),
            },
            _ => Shapes::empty(),
        }
    }
}

/// An integer that no 64 bits hold.
fn is_wide(node: Node, view: &View<'_>) -> bool {
    if node.kind != Kind::Int {
        return false;
    }
    let at = node.at as usize;
    let operand = view.pickle.get(at + 1..).unwrap_or(&[]);
    match view.pickle.get(at) {
        // Its length; picklers write as few bytes as it takes.
        Some(&LONG1) => operand.first().is_some_and(|len| *len > 8),
        Some(&LONG) => {
            let digits = operand.iter().skip_while(|byte| **byte == b'-');
            digits.take_while(|byte| byte.is_ascii_digit()).count() > 19
        }
        _ => false,
    }
}

/// A method of `random.Random` that Python 2 lacks.
pub(super) fn is_new_in_random(method: &[u8]) -> bool {
    matches!(method, b"choices" | b"randbytes" | b"binomialvariate")
}

/// The bytes that Python 2 makes a `time` of; none of Python 3's.
fn py2_time(arg: Node, view: &View<'_>) -> impl Iterator<Item = u8> {
    let bytes = arg.bytes().of(view.pickle);
    let (plain, literal) = match arg.kind {
        Kind::Str => (bytes, &[][..]),
        Kind::Escaped if view.pickle[arg.at as usize] == STRING => (&[][..], bytes),
        _ => (&[][..], &[][..]),
    };
    let literal = operands::literal_bytes(literal).map(|(_, byte)| byte);
    plain.iter().copied().chain(literal)
}

/// An instance of a class that Python 3 derives from `int`. A LONG is left out:
/// Python 2 writes it of a class that it derives from `long`.
pub(super) fn int_on_long(base: Special, value: Option<&Node>, view: &View<'_>) -> Shapes {
    let is_int = |value: &Node| value.kind == Kind::Int && view.pickle[value.at as usize] != LONG;
    if base == Special::Long && value.is_some_and(is_int) {
        Shapes::INT_ON_LONG
    } else {
        Shapes::empty()
    }
}

/// A safe string made of this text.
fn safe_string(text: Option<Node>, view: &View<'_>) -> Shapes {
    let Some(text) = text.filter(|text| matches!(text.kind, Kind::Text | Kind::Escaped)) else {
        return Shapes::empty();
    };
    if text.bytes().of(view.pickle).is_ascii() && text.kind == Kind::Text {
        Shapes::empty()
    } else {
        Shapes::SAFE_STRING_NON_ASCII
    }
}
