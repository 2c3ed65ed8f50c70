//! Namespaces that no runtime is left for: an earlier one takes all of them.

use crate::policy::{Requirement, RuntimeTag};

/// Combinations of versions that are tried, at most: past them, nothing is said.
const MAX_TAGS: usize = 20_000;
/// Pythons that there may be.
const PYTHONS: [(u64, u64); 2] = [(2, 8), (3, 40)];

/// The earlier requirements that together leave a later one no runtime: their
/// places in the list. `None` if some runtime is left for it, or it has none at all.
pub(super) fn shadowed(earlier: &[&Requirement], later: &Requirement) -> Option<Vec<usize>> {
    let mut takers = Vec::new();
    for tag in tags(earlier, later)? {
        if !later.matches(&tag) {
            continue;
        }
        let taker = earlier.iter().position(|one| one.matches(&tag))?;
        if !takers.contains(&taker) {
            takers.push(taker);
        }
    }
    takers.sort_unstable();
    (!takers.is_empty()).then_some(takers)
}

/// Tells whether no runtime has what a requirement asks for.
pub(super) fn is_impossible(requirement: &Requirement) -> bool {
    tags(&[], requirement).is_some_and(|tags| !tags.iter().any(|tag| requirement.matches(tag)))
}

/// Runtimes on both sides of all that tells any apart.
fn tags(earlier: &[&Requirement], later: &Requirement) -> Option<Vec<RuntimeTag>> {
    let mut tags = vec![String::new()];
    let all = || earlier.iter().copied().chain([later]);
    let mut products: Vec<&str> = all().flat_map(Requirement::products).collect();
    products.sort_unstable();
    products.dedup();
    for product in products {
        let mut versions: Vec<String> = all()
            .flat_map(|requirement| requirement.bounds(product))
            .flat_map(around)
            .collect();
        if product == "python" {
            for (major, minors) in PYTHONS {
                versions.extend((0..minors).map(|minor| format!("{major}.{minor}")));
            }
        }
        versions.sort_unstable();
        versions.dedup();
        let more = tags.iter().flat_map(|tag| {
            let with = versions
                .iter()
                .map(move |version| format!("{tag} {product}/{version}"));
            // A runtime may not say a product at all.
            std::iter::once(tag.clone()).chain(with)
        });
        if tags.len() * (versions.len() + 1) > MAX_TAGS {
            return None;
        }
        tags = more.collect();
    }
    Some(
        tags.iter()
            .filter_map(|tag| RuntimeTag::parse(tag).ok())
            .collect(),
    )
}

/// A version, and those right beside it.
fn around((major, minor, patch): (u64, u64, u64)) -> Vec<String> {
    let beside = |part: u64| [part.checked_sub(1), Some(part), Some(part + 1)];
    let mut versions = Vec::new();
    for major in beside(major).into_iter().flatten() {
        for minor in beside(minor).into_iter().flatten() {
            for patch in beside(patch).into_iter().flatten() {
                versions.push(format!("{major}.{minor}.{patch}"));
            }
        }
    }
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takers(earlier: &[&str], later: &str) -> Option<Vec<usize>> {
        let parsed = |text: &&str| Requirement::parse(text).unwrap();
        let earlier: Vec<_> = earlier.iter().map(parsed).collect();
        shadowed(&earlier.iter().collect::<Vec<_>>(), &parsed(&later))
    }

    #[test]
    fn a_namespace_is_shadowed_if_no_runtime_is_left_for_it() {
        for (earlier, later, by) in [
            (&["python >=3"][..], "python >=3.11", Some(vec![0])),
            (&["python <3"], "python >=3.11", None),
            (&["python >=3.11"], "python >=3", None),
            (
                &["python >=3, <3.8", "python >=3.8"],
                "python >=3",
                Some(vec![0, 1]),
            ),
            (&["python >=3, <3.8", "python >3.8"], "python >=3", None),
            (&["python =2.7"], "python ~2.7", Some(vec![0])),
            (&["python >=2"], "python >=2.7, django >=4", Some(vec![0])),
            (&["python >=3, django >=4"], "python >=3", None),
            (
                &["python >=3, django >=4"],
                "python >=3, django >=4.2",
                Some(vec![0]),
            ),
            (&["python >=3, django <4"], "python >=3, django >=3", None),
            (&["python <3.11.4"], "python =3.11", None),
        ] {
            assert_eq!(takers(earlier, later), by, "{earlier:?} {later}");
        }
    }

    #[test]
    fn some_requirements_no_runtime_meets() {
        for (text, impossible) in [
            ("python >=3, <3", true),
            ("python <3, >3.8", true),
            ("python >=3", false),
            ("python =3.11.4", false),
            ("django >=4", false),
        ] {
            let requirement = Requirement::parse(text).unwrap();
            assert_eq!(is_impossible(&requirement), impossible, "{text}");
        }
    }
}
