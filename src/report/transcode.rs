//! A pickle rewritten for one reader: which form it takes, and whether it then
//! loads. Asks [`crate::pickle::transcode`] for the bytes. Knows no file.

use std::io::{self, Write as _};

use flate2::Compression;
use flate2::write::ZlibEncoder;

use crate::pickle::transcode::{Form, Py2Str, Refusal, Transcoder};
use crate::pickle::{Broken, Extensions, InflateError, Inflater, Pool, Scan, Scanner, Verdict};
use crate::report::inspect::{Asked, inflate, printable, writers};

/// The form that a reader is to get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// The input as it is: the reader can load it already, or nothing that is
    /// known stands against it.
    Unchanged(Vec<u8>),
    /// A pickle with the same meaning.
    Rewritten(Vec<u8>),
}

/// A reason why a reader gets nothing.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // The messages say it.
pub enum TranscodeError {
    #[error(transparent)]
    Inflate(#[from] InflateError),
    #[error("no pickle: {0}")]
    Broken(#[from] Broken),
    #[error("{reader} cannot load it ({reason}), and there is no other form for it")]
    NoForm { reader: String, reason: String },
    #[error("{reader} cannot load it ({reason}), nor can it be rewritten: {refusal}")]
    Refused {
        reader: String,
        reason: String,
        refusal: Refusal,
    },
    #[error(
        "{reader} cannot load it ({reason}), and rewritten it might mean something else: strings that may be text or bytes, or a name that stands for another"
    )]
    Undecided { reader: String, reason: String },
    #[error("{reader} cannot be proved to load it rewritten, either: {reason}")]
    Still { reader: String, reason: String },
    #[error("cannot compress: {0}")]
    Deflate(#[from] io::Error),
}

/// Rewrites a pickle, raw or compressed by zlib, for a reader. What was compressed
/// is compressed again unless it is to be `raw`.
///
/// # Errors
/// Says why there is no form that this reader loads with the same meaning.
pub fn transcode(asked: &Asked, bytes: &[u8], raw: bool) -> Result<Done, TranscodeError> {
    let mut inflater = Inflater::default();
    let compressed = inflate(&mut inflater, bytes)?;
    let pickle = compressed.unwrap_or(bytes);
    let mut scanner = Scanner::default();
    let pool = asked.pool();
    let scan = scanner.scan(pickle, Extensions::NONE)?;
    let Some(reason) = unloadable(&scan, pool) else {
        let same = if raw { pickle } else { bytes };
        return Ok(Done::Unchanged(same.to_vec()));
    };
    let reader = asked.tag.to_string();
    let Some(form) = Form::of(pool.reader, &scan, Py2Str::Text) else {
        return Err(TranscodeError::NoForm { reader, reason });
    };
    let asked = std::slice::from_ref(asked);
    let writers = writers(&scan, asked);
    if !scan.may_be_rewritten(pool, &writers.iter().copied()) {
        return Err(TranscodeError::Undecided { reader, reason });
    }
    let mut out = Vec::new();
    if let Err(refusal) = Transcoder::default().transcode(pickle, form, &pool, &mut out) {
        return Err(TranscodeError::Refused {
            reader,
            reason,
            refusal,
        });
    }
    let scan = scanner.scan(&out, Extensions::NONE)?;
    let judged = scan.judge(pool.reader, pool.inventory);
    if let Err(reason) = judged.and_then(|()| scan.prove(pool, &writers.iter().copied())) {
        let reason = printable(&reason.to_string());
        return Err(TranscodeError::Still { reader, reason });
    }
    if compressed.is_some() && !raw {
        out = deflate(&out)?;
    }
    Ok(Done::Rewritten(out))
}

/// Says why a reader surely cannot load a pickle.
fn unloadable(scan: &Scan<'_>, pool: Pool<'_>) -> Option<String> {
    let reason = scan.judge(pool.reader, pool.inventory).err()?;
    (reason.verdict() == Verdict::Unloadable).then(|| printable(&reason.to_string()))
}

/// Compresses as clients do.
fn deflate(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::RuntimeTag;

    fn transcode(tag: &str, bytes: &[u8], raw: bool) -> Result<Done, String> {
        let asked = RuntimeTag::parse(tag).unwrap().into();
        super::transcode(&asked, bytes, raw).map_err(|error| error.to_string())
    }

    fn rewritten(tag: &str, bytes: &[u8]) -> Vec<u8> {
        match transcode(tag, bytes, false).unwrap() {
            Done::Rewritten(pickle) => pickle,
            Done::Unchanged(_) => panic!("loadable"),
        }
    }

    #[test]
    fn the_reader_decides_on_the_form() {
        let bytearray = b"\x80\x05\x96\x01\0\0\0\0\0\0\0a\x94.";
        assert_eq!(
            rewritten("py2.7", b"\x80\x04\x8c\x01a\x94.")[..2],
            *b"\x80\x02"
        );
        assert_eq!(rewritten("py36", bytearray)[..2], *b"\x80\x04");
        // A str of Python 2 that Python 3 does not decode.
        assert_eq!(rewritten("py3", b"U\x02\xc3\xa9.")[..2], *b"\x80\x03");
        let refused = transcode("python/3.3", bytearray, false).unwrap_err();
        assert_eq!(
            refused,
            "python/3.3 cannot load it (protocol 5 needs Python 3.8 or later), \
             and there is no other form for it"
        );
    }

    #[test]
    fn what_loads_is_left_alone() {
        let pickle = b"\x80\x02K\x01.tail";
        let unchanged = Ok(Done::Unchanged(pickle.to_vec()));
        assert_eq!(transcode("py2.7", pickle, false), unchanged);
        let compressed = deflate(pickle).unwrap();
        assert_eq!(transcode("py2.7", &compressed, true), unchanged);
        assert_eq!(
            transcode("py2.7", &compressed, false),
            Ok(Done::Unchanged(compressed))
        );
    }

    #[test]
    fn what_was_compressed_is_compressed_again() {
        let compressed = deflate(b"\x80\x04\x8c\x01a\x94.").unwrap();
        let again = rewritten("py2.7", &compressed);
        assert_eq!(again[..2], *b"\x78\x9c");
        let mut inflater = Inflater::default();
        let plain = inflate(&mut inflater, &again).unwrap().unwrap().to_vec();
        assert_eq!(
            transcode("py2.7", &compressed, true),
            Ok(Done::Rewritten(plain))
        );
    }

    #[test]
    fn what_has_no_form_is_refused() {
        let refused = |bytes| transcode("py2.7", bytes, false).unwrap_err();
        assert!(refused(b"\x80\x04\x8c\x01a").starts_with("no pickle: "));
        assert!(refused(b"x\x9c").starts_with("not a whole zlib stream"));
        insta::assert_snapshot!(refused(b"\x80\x04\x8c\x07asyncio\x8c\x05sleep\x93."), @"python/2.7 cannot be proved to load it rewritten, either: asyncio.sleep does not exist in Python 2.7");
        insta::assert_snapshot!(refused(b"\x80\x04\x8c\x01aQ."), @"python/2.7 cannot load it (protocol 4 needs Python 3.4 or later), nor can it be rewritten: a persistent id, which only the application's own unpickler resolves (at offset 5)");
    }
}
