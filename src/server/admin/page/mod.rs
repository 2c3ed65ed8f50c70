//! The page at `/`: may the migration go on? Three files, served as they are;
//! what they show they ask of `/status`, `/metrics` and `/families`.

use axum::Router;
use axum::http::{HeaderName, header};
use axum::routing::get;

/// Content policy: only our own files, and no frames, since the page shows key names that
/// clients choose.
const POLICY: &str = "default-src 'none'; connect-src 'self'; img-src 'self'; \
    script-src 'self'; style-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// Path, type and text of each file.
const FILES: [(&str, &str, &str); 4] = [
    ("/", "text/html; charset=utf-8", include_str!("index.html")),
    (
        "/page.css",
        "text/css; charset=utf-8",
        include_str!("page.css"),
    ),
    (
        "/page.js",
        "text/javascript; charset=utf-8",
        include_str!("page.js"),
    ),
    ("/icon.svg", "image/svg+xml", include_str!("icon.svg")),
];

/// Answers with the files.
pub(in crate::server) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES
        .into_iter()
        .fold(Router::new(), |router, (path, content_type, text)| {
            router.route(
                path,
                get(move || async move { (headers(content_type), text) }),
            )
        })
}

fn headers(content_type: &'static str) -> [(HeaderName, &'static str); 5] {
    [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // Another version of picklegate has other files.
        (header::CACHE_CONTROL, "no-cache"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_on_the_page_becomes_markup_or_code() {
        for sink in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "createContextualFragment",
            "setHTMLUnsafe",
            "DOMParser",
            "srcdoc",
            "eval(",
            "new Function",
            "javascript:",
        ] {
            for (path, _, text) in FILES {
                assert!(!text.contains(sink), "{path}: {sink}");
            }
        }
        assert!(POLICY.contains("script-src 'self'") && !POLICY.contains("unsafe"));
    }
}
