//! Globals whose calls or states some runtimes take and others refuse.

use super::machine::View;
use super::node::{Kind, Node};
use super::opcode::{LONG, NEWOBJ, NEWOBJ_EX, STRING};
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
}

bitflags::bitflags! {
    /// What a pickle does that some reader refuses.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
    pub(super) struct Shapes: u32 {
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
    }
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
                b"bytes" | b"bytearray" | b"list" | b"tuple" | b"range" | b"xrange" => Self::Sized,
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
            (b"_functools" | b"functools", b"reduce") => Self::Reduce,
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
            _ => Shapes::empty(),
        }
    }

    /// What a state given to an instance of it says.
    pub(super) fn built(self) -> Shapes {
        match self {
            Self::Iterator => Shapes::ITERATOR_STATE,
            Self::StringIo => Shapes::STRING_IO_STATE,
            Self::Grown => Shapes::GROWN_STATE,
            Self::SafeString | Self::SafeText => Shapes::SAFE_STRING_STATE,
            _ => Shapes::empty(),
        }
    }
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
