//! The address that load goes to, and its runtime.

use std::fmt;
use std::str::FromStr;

use picklegate::config::{AddrError, ServerAddr};
use picklegate::policy::{RuntimeError, RuntimeTag};

/// `ADDR` or `ADDR=TAG`: a server, and the Python that its clients pose as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) address: ServerAddr,
    pub(crate) tag: Option<RuntimeTag>,
}

/// A reason why a target was not understood.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TargetError {
    #[error(transparent)]
    Address(#[from] AddrError),
    #[error(transparent)]
    Tag(#[from] RuntimeError),
    #[error("an embedded cache has no socket: write host:port or unix:/path")]
    Embedded,
}

impl Target {
    /// Tells whether its clients read no pickle protocol above 2.
    pub(crate) fn is_python2(&self) -> bool {
        let version = self.tag.as_ref().and_then(|tag| tag.version("python"));
        version.is_some_and(|version| version.major < 3)
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let (address, tag) = match text.rsplit_once('=') {
            Some((address, tag)) => (address, Some(RuntimeTag::parse(tag)?)),
            None => (text, None),
        };
        match ServerAddr::parse(address)? {
            ServerAddr::Embedded { .. } => Err(TargetError::Embedded),
            address => Ok(Self { address, tag }),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.tag {
            Some(tag) => write!(f, "{}={tag}", self.address),
            None => write!(f, "{}", self.address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_an_address_and_maybe_a_tag() {
        let target: Target = "127.0.0.1:11211".parse().unwrap();
        assert_eq!((target.tag.clone(), target.is_python2()), (None, false));
        let target: Target = "unix:/run/x=y.sock=py2.7".parse().unwrap();
        assert_eq!(target.address.to_string(), "unix:/run/x=y.sock");
        assert!(target.is_python2());
        assert!("127.0.0.1:11211=ruby".parse::<Target>().is_err());
        assert!("embedded:1MiB".parse::<Target>().is_err());
    }
}
