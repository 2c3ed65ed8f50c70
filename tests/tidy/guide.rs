//! Holds the guide to what it is a guide of.

use std::fs;

use picklegate::metrics::meaning;

#[test]
fn the_guide_names_metrics_that_there_are() {
    let guide = fs::read_to_string("config/README.md").expect("there is a guide");
    for rest in guide.split("picklegate_").skip(1) {
        let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_');
        let name = format!("picklegate_{}", &rest[..end.unwrap_or(rest.len())]);
        assert!(meaning(&name).is_some(), "there is no {name}");
    }
}
