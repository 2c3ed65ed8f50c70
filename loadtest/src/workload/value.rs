//! Values that say whose they are at both ends, so that a wrong one is noticed
//! by a look at its first and last bytes.

use serde_pickle::SerOptions;

use super::WorkloadError;

/// A pickle of `(key, filler, key)` that is exactly `bytes` long: protocol 2
/// for Python 2, else 3, the highest that serde-pickle writes.
pub(super) fn pickle(key: &str, bytes: usize, python2: bool) -> Result<Vec<u8>, WorkloadError> {
    let least = pickled(key, 0, python2)?.len();
    let filler = bytes
        .checked_sub(least)
        .ok_or(WorkloadError::SmallPickle(least))?;
    pickled(key, filler, python2)
}

fn pickled(key: &str, filler: usize, python2: bool) -> Result<Vec<u8>, WorkloadError> {
    let options = SerOptions::new();
    let options = if python2 { options.proto_v2() } else { options };
    Ok(serde_pickle::to_vec(
        &(key, "x".repeat(filler), key),
        options,
    )?)
}

/// Bytes that begin and end with the key, or are as much of its end as fits.
pub(super) fn raw(key: &str, bytes: usize) -> Vec<u8> {
    let key = key.as_bytes();
    let mut value = vec![b'x'; bytes];
    let kept = key.len().min(bytes);
    value[..kept].copy_from_slice(&key[key.len() - kept..]);
    value[bytes - kept..].copy_from_slice(&key[key.len() - kept..]);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pickles_are_real_and_of_the_size_asked_for() {
        for (python2, protocol) in [(true, 2), (false, 3)] {
            let value = pickle("load:0:00000000000000000007", 100, python2).unwrap();
            assert_eq!((value.len(), value[0], value[1]), (100, 0x80, protocol));
            let (first, _, last): (String, String, String) =
                serde_pickle::from_slice(&value, serde_pickle::DeOptions::new()).unwrap();
            assert_eq!(first, "load:0:00000000000000000007");
            assert_eq!(last, first);
        }
        assert!(pickle("load", 4, false).is_err());
    }

    #[test]
    fn raw_values_begin_and_end_with_their_key() {
        assert_eq!(raw("key7", 10), b"key7xxkey7");
        assert_eq!(raw("key7", 2), b"y7");
    }
}
