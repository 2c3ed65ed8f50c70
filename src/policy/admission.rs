//! The admission of clients: how a listener learns what connects to it, and what
//! becomes of a connection that bears no tag. Knows no connection.

use arrayvec::ArrayVec;

use super::runtime::RuntimeTag;
use super::{Identity, Snapshot};

/// The number of sources.
pub const SOURCES: usize = 4;

/// Origins of a tag, the most trusted first: a certificate is vouched for by an
/// authority's signature, a client's own word by nothing.
///
/// [`Told`] is the one place that ranks. Above all of them is a listener that says
/// what connects ([`Identify::Static`]), and asks nobody; below all of them the meta
/// flag `P`, which is of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The certificate of its TLS connection names it.
    Certificate,
    /// A proxy in front says it, before everything else.
    ProxyProtocol,
    /// The system tells which process is at the other end.
    Process,
    /// The client says it, in band.
    Hello,
}

impl Source {
    /// Sources, the most trusted first.
    pub const ALL: [Self; SOURCES] = [
        Self::Certificate,
        Self::ProxyProtocol,
        Self::Process,
        Self::Hello,
    ];
}

/// The runtime at the other end of a connection, and the source that told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// The runtime that it names.
    pub runtime: RuntimeTag,
    /// The source; the highest, if several agree.
    pub source: Source,
}

/// The words of the sources about one connection, the highest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// Tags, at most one per source.
    tags: ArrayVec<Tag, SOURCES>,
}

impl From<Option<Tag>> for Told {
    fn from(tag: Option<Tag>) -> Self {
        Self {
            tags: tag.into_iter().collect(),
        }
    }
}

impl Told {
    /// A source tells, again or for the first time: its last word counts.
    pub fn tell(&mut self, tag: Tag) {
        let place = self
            .tags
            .binary_search_by_key(&tag.source, |known| known.source);
        match place {
            Ok(at) => self.tags[at] = tag,
            // There is room for each source.
            Err(at) => self.tags.insert(at, tag),
        }
    }

    /// Tag that a listener accepts for a request whose flag `P` says `flag`: the word of
    /// the most trusted source in its list. Less trusted sources may add products. If one
    /// contradicts a more trusted source about any product, all it says is ignored.
    pub fn tag_at(&self, admission: &Admission, flag: Option<&RuntimeTag>) -> Option<Tag> {
        let believed = self.tags.iter().filter(|tag| admission.asks(tag.source));
        let mut told = believed
            .map(|tag| (tag.source, &tag.runtime))
            // A client says it as it says hello.
            .chain(flag.map(|flag| (Source::Hello, flag)));
        let (source, highest) = told.next()?;
        let mut runtime = highest.clone();
        for (_, lower) in told {
            runtime.complete(lower);
        }
        Some(Tag { runtime, source })
    }
}

/// The treatment of a connection without a tag, or with one that fits no namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Untagged {
    /// Answer its requests by an error.
    Refuse,
    /// Let it work on the bare keys, and hide nothing from it.
    Pass,
    /// Count it as this runtime.
    As(RuntimeTag),
}

/// The way in which a listener learns what connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identify {
    /// Every client is this runtime.
    Static(RuntimeTag),
    /// Each connection is identified by itself.
    Each {
        /// The sources of its tag, in any order: their rank is their own.
        sources: ArrayVec<Source, SOURCES>,
        /// Treatment of connections that no source tells a tag of.
        untagged: Untagged,
    },
}

/// The clients that may connect to a listener, and what they count as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// The listener's name.
    pub name: Box<str>,
    /// The way in which it learns what connects.
    pub identify: Identify,
}

/// The standing of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// A runtime of some namespace.
    Known(Identity),
    /// A client without a known namespace: bare keys, see [`Untagged::Pass`].
    Passed,
    /// A client that may ask for nothing.
    Refused,
}

impl Standing {
    /// Returns the identity that its requests have.
    pub fn identity(self) -> Identity {
        match self {
            Self::Known(identity) => identity,
            Self::Passed | Self::Refused => Identity::UNTAGGED,
        }
    }
}

impl Admission {
    /// Tells whether a source is one of the listener's.
    pub fn asks(&self, source: Source) -> bool {
        match &self.identify {
            Identify::Static(_) => false,
            Identify::Each { sources, .. } => sources.contains(&source),
        }
    }

    /// Returns the standing of a connection that bears this tag.
    pub fn standing(&self, tag: Option<&RuntimeTag>, snapshot: &Snapshot) -> Standing {
        let known = |tag: &RuntimeTag| snapshot.identify(tag).map(Standing::Known);
        match &self.identify {
            Identify::Static(runtime) => known(runtime).unwrap_or(Standing::Refused),
            Identify::Each { untagged, .. } => {
                tag.and_then(known).unwrap_or_else(|| match untagged {
                    Untagged::Refuse => Standing::Refused,
                    Untagged::Pass => Standing::Passed,
                    Untagged::As(runtime) => known(runtime).unwrap_or(Standing::Refused),
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(text: &str) -> RuntimeTag {
        RuntimeTag::parse(text).unwrap()
    }

    fn admission(sources: &[Source]) -> Admission {
        Admission {
            name: "any".into(),
            identify: Identify::Each {
                sources: sources.iter().copied().collect(),
                untagged: Untagged::Refuse,
            },
        }
    }

    fn told(tags: &[(Source, &str)]) -> Told {
        let mut told = Told::default();
        for &(source, text) in tags {
            let runtime = tag(text);
            told.tell(Tag { runtime, source });
        }
        told
    }

    fn says(told: &Told, sources: &[Source], flag: Option<&str>) -> Option<(String, Source)> {
        let flag = flag.map(tag);
        let tag = told.tag_at(&admission(sources), flag.as_ref())?;
        Some((tag.runtime.to_string(), tag.source))
    }

    /// Pairs of sources, in either order of the configuration and of telling.
    fn pairs() -> impl Iterator<Item = (Source, Source)> {
        let below = |at: usize| Source::ALL[at + 1..].iter().copied();
        (0..SOURCES).flat_map(move |at| below(at).map(move |low| (Source::ALL[at], low)))
    }

    #[test]
    fn a_lower_source_never_contradicts_a_higher_one() {
        assert_eq!(pairs().count(), 6);
        for (high, low) in pairs() {
            for (first, second) in [(high, low), (low, high)] {
                let sources = [first, second];
                let word = |source| {
                    if source == high {
                        "py311"
                    } else {
                        "py27,django/1.11"
                    }
                };
                let told = told(&[(first, word(first)), (second, word(second))]);
                let expected = Some(("python/3.11".to_owned(), high));
                assert_eq!(says(&told, &sources, None), expected, "{high:?} {low:?}");
                // Where the listener does not believe the higher one, it has no say.
                let alone = Some(("python/2.7 django/1.11".to_owned(), low));
                assert_eq!(says(&told, &[low], None), alone);
            }
        }
    }

    #[test]
    fn a_lower_source_adds_the_products_that_a_higher_one_does_not_name() {
        for (high, low) in pairs() {
            for added in [
                "django/4.2",
                "python/3.11 django/4.2",
                "python/3.11.4,django/4.2",
            ] {
                let told = told(&[(low, added), (high, "python/3.11")]);
                let expected = Some(("python/3.11 django/4.2".to_owned(), high));
                assert_eq!(
                    says(&told, &[low, high], None),
                    expected,
                    "{high:?} {low:?}"
                );
            }
        }
    }

    #[test]
    fn the_flag_is_below_every_source() {
        for source in Source::ALL {
            let sources = [source, Source::Hello];
            let told = told(&[(source, "python/3.11")]);
            let own = Some(("python/3.11".to_owned(), source));
            for flag in ["python/2.7", "python/2.7,django/1.11", "python/3.11", "py3"] {
                assert_eq!(says(&told, &sources, Some(flag)), own, "{source:?} {flag}");
            }
            let more = Some(("python/3.11 django/4.2".to_owned(), source));
            for flag in ["django/4.2", "python/3.11,django/4.2"] {
                assert_eq!(says(&told, &sources, Some(flag)), more, "{source:?} {flag}");
            }
        }
        let alone = Some(("python/2.7".to_owned(), Source::Hello));
        assert_eq!(says(&Told::default(), &Source::ALL, Some("py27")), alone);
    }

    #[test]
    fn the_last_word_of_a_source_counts_and_all_of_them_fit() {
        let mut all = told(&[(Source::Hello, "django/3.2"), (Source::Hello, "django/4.2")]);
        for source in Source::ALL.into_iter().rev().skip(1) {
            let runtime = tag("python/3.11");
            all.tell(Tag { runtime, source });
        }
        let expected = Some(("python/3.11 django/4.2".to_owned(), Source::Certificate));
        assert_eq!(says(&all, &Source::ALL, None), expected);
    }

    #[test]
    fn a_listener_of_one_runtime_believes_nobody() {
        let admission = Admission {
            name: "any".into(),
            identify: Identify::Static(tag("python/2.7")),
        };
        for source in Source::ALL {
            let told = told(&[(source, "python/3.11")]);
            assert_eq!(told.tag_at(&admission, None), None);
        }
    }
}
