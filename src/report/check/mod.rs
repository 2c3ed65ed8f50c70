//! Says in plain words what a valid configuration means, and what a step from one to
//! another changes. Knows no file.

mod hazard;
mod step;

use std::fmt::Write as _;

pub use hazard::Hazard;
pub use step::{Change, Step, step};

use crate::config::{ClientAuth, Config, Word as _};
use crate::policy::{Compiled, Identify, RuntimeTag, Snapshot, Untagged};
use crate::report::consequences;
use crate::report::explain::family;
use crate::report::table::aligned;

/// The summary of a configuration: a paragraph for each of its parts.
pub fn summary(config: &Config) -> String {
    let mut text = String::new();
    let mut paragraph = |title: &str, rows: &[Vec<String>]| {
        if !rows.is_empty() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{title}\n{}", aligned(rows));
        }
    };
    paragraph("listeners", &listeners(config));
    paragraph("admin", &admin(config));
    paragraph("namespaces, the first that fits", &namespaces(config));
    paragraph("rules, the longest prefix wins", &rules(config));
    paragraph("upstream", &servers(config));
    let warnings: Vec<_> = config.warnings.iter().map(|w| vec![w.clone()]).collect();
    paragraph("warnings", &warnings);
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn listeners(config: &Config) -> Vec<Vec<String>> {
    let row = |listener: &crate::config::Listener| {
        let admission = &listener.admission;
        let becomes = match &admission.identify {
            Identify::Static(runtime) => namespace(&config.snapshot, runtime),
            Identify::Each { untagged, .. } => match untagged {
                Untagged::Refuse => "else refused".to_owned(),
                Untagged::Pass => "else bare keys, nothing hidden".to_owned(),
                Untagged::As(runtime) => format!("else {}", namespace(&config.snapshot, runtime)),
            },
        };
        let who = who(&admission.identify);
        let tls = match listener.tls.as_ref().map(|tls| tls.client_auth) {
            None => "",
            Some(None) => ", by TLS",
            Some(Some(ClientAuth::Optional)) => ", by TLS, with a certificate or without",
            Some(Some(ClientAuth::Required)) => ", by TLS, with a certificate",
        };
        vec![admission.name.to_string(), who, becomes + tls]
    };
    config.listeners.iter().map(row).collect()
}

/// Says which clients connect to a listener.
fn who(identify: &Identify) -> String {
    match identify {
        Identify::Static(runtime) => runtime.to_string(),
        Identify::Each { sources, .. } => {
            let sources: Vec<_> = sources.iter().map(|source| source.word()).collect();
            format!("by {}", sources.join(", "))
        }
    }
}

fn namespace(snapshot: &Snapshot, runtime: &RuntimeTag) -> String {
    let identity = snapshot.identify(runtime);
    // A configuration names no runtime without a namespace.
    let name = identity.map_or("", |identity| snapshot.codec.name(identity.space));
    format!("namespace {name}")
}

fn admin(config: &Config) -> Vec<Vec<String>> {
    config.admin.iter().map(|at| vec![at.to_string()]).collect()
}

fn namespaces(config: &Config) -> Vec<Vec<String>> {
    let codec = &config.snapshot.codec;
    let named = codec.spaces().skip(1).zip(&config.snapshot.namespaces);
    named
        .map(|(space, namespace)| {
            let prefix = String::from_utf8_lossy(codec.prefix(space));
            vec![
                namespace.name.to_string(),
                namespace.requirement.to_string(),
                format!("keys {prefix}..."),
            ]
        })
        .collect()
}

/// The catch-all last, as people write it.
fn rules(config: &Config) -> Vec<Vec<String>> {
    let mut rows: Vec<_> = config
        .snapshot
        .rules
        .iter()
        .map(|Compiled { rule, plans }| {
            vec![
                family(&rule.prefix),
                rule.mode.word().to_owned(),
                consequences::of_rule(plans),
            ]
        })
        .collect();
    rows.rotate_left(1);
    rows
}

fn servers(config: &Config) -> Vec<Vec<String>> {
    let upstream = &config.upstream;
    let mut rows: Vec<_> = upstream
        .servers
        .iter()
        .map(|server| vec![server.to_string()])
        .collect();
    if rows.len() > 1 {
        rows.push(vec![format!("keys are spread by {}", upstream.hash.word())]);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_names_every_part() {
        let toml = r#"
            [upstream]
            servers = ["cache-1:11211", "[::1]:11212"]
            [admin]
            listen = "0.0.0.0:9151"
            [[listeners]]
            listen = "127.0.0.1:11312"
            runtime = "python/2.7"
            [[listeners]]
            listen = "unix:/run/picklegate/py3.sock"
            runtime = "cp311"
            [namespaces.py2]
            runtimes = "python <3"
            [namespaces.py3]
            runtimes = "python >=3"
            epoch = 2
            [[rules]]
            prefix = ""
            [[rules]]
            prefix = "lock:"
            mode = "shared"
            [[rules]]
            prefix = "page:"
            mode = "observe"
            coherence = "none"
            [[rules]]
            prefix = "session:"
            mode = "guard"
            on_unloadable_write = "reject"
            coherence = "strict"
        "#;
        let config = Config::parse("test.toml", toml).unwrap();
        insta::assert_snapshot!(summary(&config), @r#"
        listeners
          127.0.0.1:11312                python/2.7   namespace py2
          unix:/run/picklegate/py3.sock  python/3.11  namespace py3

        admin
          0.0.0.0:9151

        namespaces, the first that fits
          py2  python <3   keys @py2//...
          py3  python >=3  keys @py3.2///...

        rules, the longest prefix wins
          "lock:"          shared   one copy for all; nothing is looked at
          "page:"          observe  one copy for all; values are counted; deletes reach no other copy
          "session:"       guard    one copy for all; unloadable values are misses; unloadable stores are rejected; deletes reach every copy, stores delete the others
          everything else  isolate  a copy for each namespace; unloadable values are misses; unloadable stores are accepted; deletes reach every copy, stores delete the others unless they fill a miss

        upstream
          cache-1:11211
          [::1]:11212
          keys are spread by ketama

        warnings
          test.toml:5: admin.listen: 0.0.0.0:9151 can be reached from other machines
          test.toml:25: rules[2].coherence: a delete leaves the other copies, which are then stale
        "#);
    }

    #[test]
    fn a_firewall_refuses_pickles_only_where_the_mode_guards() {
        let told = |mode: &str, globals: &str| {
            let toml = format!(
                "[upstream]\nservers = ['c:1']\n[[listeners]]\nlisten = '127.0.0.1:1'\n\
                 runtime = 'py2'\n[namespaces.py2]\nruntimes = 'python <3'\n\
                 [[rules]]\nprefix = ''\nmode = '{mode}'\nglobals = '{globals}'\n"
            );
            let config = Config::parse("test.toml", &toml).unwrap();
            rules(&config).remove(0).remove(2)
        };
        for (globals, named) in [("deny", "denied"), ("allow", "not allowed")] {
            let pickles = format!("pickles that name what is {named} are ");
            for mode in ["guard", "isolate"] {
                let told = told(mode, globals);
                assert!(told.contains(&format!("{pickles}refused")), "{told}");
            }
            let told = told("observe", globals);
            assert!(
                told.contains(&format!("{pickles}counted and served")),
                "{told}"
            );
        }
        let told = told("guard", "any");
        assert!(!told.contains("pickles that name"), "{told}");
    }

    #[test]
    fn a_summary_of_the_defaults_is_short() {
        let listen = ["127.0.0.1:11312=py2".to_owned()];
        let config = Config::from_flags(&listen, &["embedded:64MiB".to_owned()], None).unwrap();
        insta::assert_snapshot!(summary(&config), @r"
        listeners
          127.0.0.1:11312  python/2  namespace py2

        namespaces, the first that fits
          py2  python <3   keys @py2//...
          py3  python >=3  keys @py3//...

        rules, the longest prefix wins
          everything else  isolate  a copy for each namespace; unloadable values are misses; unloadable stores are accepted; deletes reach every copy, stores delete the others unless they fill a miss

        upstream
          embedded:64MiB
        ");
    }
}
