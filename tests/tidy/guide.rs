//! Holds the guide to what it is a guide of.

use std::fs;

#[test]
fn the_guide_names_metrics_that_there_are() {
    let guide = fs::read_to_string("config/README.md").expect("there is a guide");
    let metrics = fs::read_to_string("src/metrics.rs").expect("there are metrics");
    for rest in guide.split("picklegate_").skip(1) {
        let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_');
        let name = &rest[..end.unwrap_or(rest.len())];
        let quoted = format!("\"picklegate_{name}\"");
        assert!(metrics.contains(&quoted), "there is no picklegate_{name}");
    }
}
