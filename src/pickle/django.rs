//! What pickles name of Django that came or went with a release.

/// A major and a minor version.
pub(super) type Series = (u16, u16);

/// Module, name, and the first and last series that surely lack it: between,
/// it is there or was not looked up. By Django's release notes, and by loading
/// such pickles under 1.11, 2.2, 3.2, 4.2, 5.0 and 5.2.
const CHANGES: [(&str, &str, Lacks); 16] = [
    (
        "django.core.mail.message",
        "EmailAlternative",
        Lacks::UpTo((5, 1)),
    ),
    (
        "django.core.mail.message",
        "EmailAttachment",
        Lacks::UpTo((5, 1)),
    ),
    (
        "django.db.models.base",
        "unpickle_inner_exception",
        Lacks::From((2, 0)),
    ),
    (
        "django.db.models.lookups",
        "IntegerFieldExact",
        Lacks::UpTo((4, 2)),
    ),
    (
        "django.db.models.lookups",
        "IntegerGreaterThan",
        Lacks::UpTo((4, 2)),
    ),
    (
        "django.db.models.utils",
        "unpickle_named_row",
        Lacks::UpTo((2, 2)),
    ),
    (
        "django.utils.datastructures",
        "CaseInsensitiveMapping",
        Lacks::UpTo((1, 11)),
    ),
    ("django.utils.encoding", "force_text", Lacks::From((4, 0))),
    ("django.utils.encoding", "smart_text", Lacks::From((4, 0))),
    ("django.utils.safestring", "SafeBytes", Lacks::From((3, 0))),
    ("django.utils.timezone", "FixedOffset", Lacks::From((3, 1))),
    ("django.utils.translation", "ugettext", Lacks::From((4, 0))),
    (
        "django.utils.translation",
        "ugettext_lazy",
        Lacks::From((4, 0)),
    ),
    ("django.utils.translation", "ungettext", Lacks::From((4, 0))),
    (
        "django.utils.translation",
        "ungettext_lazy",
        Lacks::From((4, 0)),
    ),
    (
        "django.http.response",
        "ResponseHeaders",
        Lacks::UpTo((3, 1)),
    ),
];

#[derive(Debug, Clone, Copy)]
enum Lacks {
    From(Series),
    UpTo(Series),
}

/// Whether this series of Django surely lacks the name.
pub(super) fn lacks(series: Series, module: &[u8], name: &[u8]) -> bool {
    CHANGES.iter().any(|(in_module, changed, lacks)| {
        changed.as_bytes() == name
            && in_module.as_bytes() == module
            && match *lacks {
                Lacks::From(first) => series >= first,
                Lacks::UpTo(last) => series <= last,
            }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_and_go() {
        let lacks = |series, name: &[u8]| lacks(series, b"django.utils.safestring", name);
        assert!(!lacks((1, 11), b"SafeBytes") && lacks((4, 2), b"SafeBytes"));
        assert!(!lacks((1, 11), b"SafeText") && !lacks((5, 2), b"SafeText"));
        let lacks = |series| super::lacks(series, b"django.core.mail.message", b"EmailAttachment");
        assert!(lacks((4, 2)) && !lacks((5, 2)));
    }
}
