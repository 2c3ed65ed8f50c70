//! Tests of configurations: accepted ones with their meaning, and the message for each
//! mistake.

use proptest::prelude::*;

use super::*;
use crate::pickle::Encoding;
use crate::pickle::transcode::Py2Str;
use crate::policy::{
    Coherence, Identify, Identity, Mode, OnUnloadableRead, OnUpstreamFailure, RuntimeTag, Sniff,
    Source, SpaceId, Standing, Untagged,
};

/// A valid configuration without rules or namespaces, in eight lines.
const BASE: &str = r#"[upstream]
servers = ["127.0.0.1:11211"]
[[listeners]]
listen = "127.0.0.1:11312"
runtime = "py2"
[[listeners]]
listen = "127.0.0.1:11313"
runtime = "py3"
"#;

fn errors(toml: &str) -> String {
    match Config::parse("t", toml) {
        Ok(_) => String::new(),
        Err(errors) => errors.to_string(),
    }
}

/// The errors of [`BASE`] followed by `toml`, whose first line is 9.
fn errors_after_base(toml: &str) -> String {
    errors(&format!("{BASE}{toml}"))
}

fn parse_after_base(toml: &str) -> Config {
    Config::parse("t", &format!("{BASE}{toml}")).unwrap()
}

/// Identity that each listener gives its clients.
fn identities(config: &Config) -> Vec<Identity> {
    let standing = |listener: &Listener| {
        let standing = listener.admission.standing(None, &config.snapshot);
        let Standing::Known(identity) = standing else {
            panic!("{standing:?}");
        };
        identity
    };
    config.listeners.iter().map(standing).collect()
}

fn spaces(config: &Config) -> Vec<SpaceId> {
    let identities = identities(config).into_iter();
    identities.map(|identity| identity.space).collect()
}

#[test]
fn defaults_are_as_documented() {
    let config = parse_after_base("");
    assert_eq!(config.workers, 1);
    assert!(!config.reuse_port);
    assert_eq!(config.upstream.connections, 1);
    assert_eq!(config.upstream.hash, Distribution::Ketama);
    assert_eq!(config.admin, None);
    let limits = Limits {
        max_connections: 10_000,
        max_value_bytes: 1 << 20,
        max_buffered_bytes: 64 << 20,
        request_timeout: Duration::from_millis(2_500),
        connect_timeout: Duration::from_millis(250),
        send_timeout: Duration::from_secs(30),
        drain_timeout: Duration::from_secs(10),
    };
    assert_eq!(config.limits, limits);
    assert_eq!(config.snapshot.max_value_bytes, 1 << 20);
    assert_eq!(config.snapshot.pickles.encoding, Encoding::default());
    assert!(!config.snapshot.forward_flush_all);
    assert_eq!(config.warnings, Vec::<String>::new());
    assert_eq!(spaces(&config), [SpaceId(1), SpaceId(2)]);
    let rule = &config.snapshot.rules.find(b"any").rule;
    assert_eq!(rule.mode, Mode::Isolate);
    assert_eq!(rule.sniff, Sniff::Full);
    assert_eq!(rule.coherence, Coherence::FillAware);
}

#[test]
fn flags_give_what_the_default_file_gives() {
    let listen = ["127.0.0.1:11312=python/2.7", "127.0.0.1:11313=python/3.11"];
    let flags = Config::from_flags(
        &listen.map(str::to_owned),
        &["127.0.0.1:11211".to_owned()],
        Some("127.0.0.1:9151"),
    );
    let file = Config::parse("default.toml", include_str!("../../config/default.toml"));
    assert_eq!(
        format!("{:?}", flags.unwrap()),
        format!("{:?}", file.unwrap())
    );
}

#[test]
fn every_example_is_accepted() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            let config = Config::load(&path).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(config.warnings, Vec::<String>::new());
            files += 1;
        }
    }
    assert_eq!(files, 8);
}

#[test]
fn namespaces_are_tried_in_the_order_of_the_file() {
    let config = parse_after_base(
        "[namespaces.z]\nruntimes = 'python >=3'\n[namespaces.a]\nruntimes = 'python >=2'\nepoch = 3",
    );
    let codec = &config.snapshot.codec;
    let names: Vec<&str> = codec.spaces().map(|space| codec.name(space)).collect();
    assert_eq!(names, ["", "z", "a"]);
    assert_eq!(codec.prefix(SpaceId(2)), b"@a.3//");
    assert_eq!(spaces(&config), [SpaceId(2), SpaceId(1)]);
}

#[test]
fn keys_outside_the_rollout_are_guarded() {
    for (rollout, isolated) in [
        (0, [false, false]),
        (40, [true, false]),
        (100, [true, true]),
    ] {
        let toml = format!("[[rules]]\nmode = 'isolate'\nrollout = {rollout}");
        let config = parse_after_base(&toml);
        let identity = identities(&config)[0];
        // Of the buckets 2684 and 8507.
        let found = [&b"abc"[..], b"user:1"].map(|key| {
            let decision = config.snapshot.decide(identity, key);
            let isolated = decision.plan.isolates();
            assert_eq!(decision.space == identity.space, isolated);
            assert!(isolated || decision.plan.mode == Mode::Guard);
            isolated
        });
        assert_eq!(found, isolated, "{rollout}");
    }
}

#[test]
fn settings_mean_what_they_say() {
    let config = parse_after_base(
        "[pickle]\nflag_bit = 4\ncompressed_bit = 31\ndetect = 'both'\n\
         [limits]\nmax_value_bytes = '64KiB'\ndrain_timeout_ms = 0x10\n\
         [admin_commands]\nflush_all = 'forward'\n[server]\nworkers = 4\nreuse_port = true\n\
         [admin]\nlisten = 'unix:/run/admin.sock'",
    );
    let encoding = Encoding {
        pickle_flag: 1 << 4,
        compressed_flag: 1 << 31,
        by_flags: true,
        by_bytes: true,
    };
    assert_eq!(config.snapshot.pickles.encoding, encoding);
    assert_eq!(config.limits.max_value_bytes, 65536);
    assert_eq!(config.limits.drain_timeout, Duration::from_millis(16));
    assert!(config.snapshot.forward_flush_all);
    assert_eq!(config.workers, 4);
    assert!(config.reuse_port);
    assert_eq!(
        config.admin,
        Some(ListenAddr::Unix("/run/admin.sock".into()))
    );
    let config = parse_after_base("[limits]\nmax_value_bytes = 1_000");
    assert_eq!(config.limits.max_value_bytes, 1000);
}

#[test]
fn all_mistakes_are_told_at_once() {
    let toml = r#"
[upstream]
servers = ["cache1", "10.0.0.1:11211", 'tls://c:1']
hash = "crc"
server = 1
[[listeners]]
listen = "127.0.0.1:11312"
runtime = "ruby"
[[listeners]]
listen = 11313
runtime = "python/2.7"
[namespaces.py3]
runtimes = "python >=3"
[[rules]]
prefix = "a"
mode = "isolated"
rollout = 125
[limits]
max_value_bytes = "2GiB"
[typo]
"#;
    insta::assert_snapshot!(errors(toml), @r#"
    t:3: upstream.servers[0]: "cache1" is no address: write host:port, [v6]:port or unix:/path
    t:4: upstream.hash: unknown hash "crc", expected ketama or modula
    t:5: upstream.server: unknown key, expected servers, hash, tls or connections
    t:8: listeners[0].runtime: "ruby" is no runtime: write python/3.11 or a short form such as py3, py2.7, cp311
    t:10: listeners[1].listen: expected a string, found 11313
    t:11: listeners[1].runtime: no namespace is for python/2.7: py3 is for python >=3
    t:14: rules: no rule for everything else: add one with prefix = ""
    t:16: rules[0].mode: unknown mode "isolated", expected shared, observe, guard or isolate
    t:17: rules[0].rollout: 125 is out of range, expected 0 to 100
    t:19: limits.max_value_bytes: 2GiB is out of range, expected 1 to 1GiB
    t:20: typo: unknown key, expected listeners, upstream, server, namespaces, rules, admin, pickle, limits, families or admin_commands
    "#);
}

#[test]
fn every_mistake_is_named_with_its_line() {
    insta::assert_snapshot!(table(&[
        "[namespaces]\npy2 = 1",
        "[namespaces.Py2]\nruntimes = 'python <4'",
        "[namespaces.all]\nruntimes = 'python'",
        "[namespaces.all]",
        "[namespaces.all]\nruntimes = 'python >=2'\nepoch = -1",
        "[namespaces.py2]\nruntimes = 'python <3'",
        "[[rules]]\nprefix = 'a'\nmode = 'shared'",
        "[rules]",
        "[[rules]]\n[[rules]]\nprefix = ''",
        "[[rules]]\nprefix = 5",
        "[[rules]]\nmode = 'isolated'",
        "[[rules]]\nrollout = 101",
        "[[rules]]\nrollout = 2.5",
        "[[rules]]\nmod = 'shared'\nsnif = 'off'",
        "[[rules]]\nsniff = 'deep'",
        "[[rules]]\non_unloadable_read = 'hide'",
        "[[rules]]\non_unloadable_write = 'drop'",
        "[[rules]]\ncoherence = 'some'",
        "[[rules]]\nsniff = 'header'\non_unknown_read = 'miss'",
        "[[rules]]\non_unloadable_read = 'pass'\non_unknown_read = 'miss'",
        "[[rules]]\non_unknown_write = 'reject'",
        "[pickle]\nflag_bit = 32",
        "[pickle]\nflag_bit = 3",
        "[pickle]\ndetect = 'magic'",
        "[limits]\nmax_value_bytes = 0",
        "[limits]\nmax_value_bytes = 'big'",
        "[limits]\nmax_value_bytes = 1.5",
        "[limits]\nmax_connections = 0",
        "[limits]\nrequest_timeout_ms = 0",
        "[limits]\nconnect_timeout_ms = -1",
        "[limits]\ndrain_timeout_ms = 9999999999999999999",
        "[admin]",
        "[admin]\nlisten = 'localhost'",
        "[admin]\nlisten = '127.0.0.1:11312'",
        "[admin_commands]\nflush_all = true",
        "[server]\nworkers = 0",
        "[[server]]",
        "[[listeners]]\nlisten = '127.0.0.1:11312'\nruntime = 'py3'",
        "[[listeners]]\nlisten = 'unix:a.sock'\nruntime = 'py'",
        "[[listeners]]",
    ]), @r#"
    t:10: namespaces.py2: expected a table, found 1
    t:9: namespaces.Py2: a name is 1 to 32 of a-z, 0-9, _ and -
    t:10: namespaces.all.runtimes: "python" is no version requirement: write for example "python >=3.8, django >=4"
    t:9: namespaces.all.runtimes: missing: write for example "python >=3"
    t:11: namespaces.all.epoch: -1 is out of range, expected 0 to 4294967295
    t:8: listeners[1].runtime: no namespace is for python/3: py2 is for python <3
    t:9: rules: no rule for everything else: add one with prefix = ""
    t:9: rules: expected an array, found a table
    t:11: rules[1].prefix: "" is already in rules[0].prefix (line 9)
    t:10: rules[0].prefix: expected a string, found 5
    t:10: rules[0].mode: unknown mode "isolated", expected shared, observe, guard or isolate
    t:10: rules[0].rollout: 101 is out of range, expected 0 to 100
    t:10: rules[0].rollout: expected an integer of 64 bits, found a float
    t:10: rules[0].mod: unknown key, expected prefix, mode, rollout, sniff, on_unloadable_read, on_unknown_read, on_unloadable_write, on_unknown_write, on_upstream_failure, coherence, globals, py2_str or read_through
    t:11: rules[0].snif: unknown key, expected prefix, mode, rollout, sniff, on_unloadable_read, on_unknown_read, on_unloadable_write, on_unknown_write, on_upstream_failure, coherence, globals, py2_str or read_through
    t:10: rules[0].sniff: unknown depth "deep", expected off, header or full
    t:10: rules[0].on_unloadable_read: unknown answer "hide", expected miss, transcode or pass
    t:10: rules[0].on_unloadable_write: unknown answer "drop", expected accept or reject
    t:10: rules[0].coherence: unknown coherence "some", expected none, deletes, fill-aware or strict
    t:10: rules[0].sniff: on_unknown_read = "miss" needs sniff = "full"
    t:11: rules[0].on_unknown_read: "miss" needs on_unloadable_read = "miss" or "transcode"
    t:10: rules[0].on_unknown_write: "reject" needs on_unloadable_write = "reject"
    t:10: pickle.flag_bit: 32 is out of range, expected 0 to 31
    t:10: pickle.flag_bit: flag_bit and compressed_bit are both 3
    t:10: pickle.detect: unknown way to detect pickles "magic", expected flags, bytes or both
    t:10: limits.max_value_bytes: 0 is out of range, expected 1 to 1GiB
    t:10: limits.max_value_bytes: "big" is no size: write for example "1MiB"
    t:10: limits.max_value_bytes: expected a size such as "64KiB", found a float
    t:10: limits.max_connections: 0 is out of range, expected 1 to 1000000
    t:10: limits.request_timeout_ms: 0 is out of range, expected 1 to 86400000
    t:10: limits.connect_timeout_ms: -1 is out of range, expected 1 to 86400000
    t:10: limits.drain_timeout_ms: expected an integer of 64 bits, found 9999999999999999999
    t:9: admin.listen: missing: write host:port, [v6]:port or unix:/path
    t:10: admin.listen: "localhost" is no address: write host:port, [v6]:port or unix:/path
    t:10: admin.listen: 127.0.0.1:11312 is already in listeners[0].listen (line 4)
    t:10: admin_commands.flush_all: expected a string, found true
    t:10: server.workers: 0 is out of range, expected 1 to 256
    t:9: server: expected a table, found an array
    t:10: listeners[2].listen: 127.0.0.1:11312 is already in listeners[0].listen (line 4)
    t:10: listeners[2].listen: "a.sock" is no absolute path: write unix:/path
    t:11: listeners[2].runtime: "py" is no runtime: write python/3.11 or a short form such as py3, py2.7, cp311
    t:9: listeners[2].listen: missing: write host:port, [v6]:port or unix:/path
    t:9: listeners[2].runtime: missing: write for example "python/3.11"
    "#);
}

#[test]
fn upstream_mistakes_are_named() {
    let with = |upstream: &str| errors(&BASE.replace("servers = [\"127.0.0.1:11211\"]", upstream));
    let told: Vec<String> = [
        "",
        "servers = []",
        "servers = ['a:1', 'b:1', 'a:1']",
        "servers = ['embedded:1MiB', 'a:1']",
        "servers = ['127.0.0.1:11313']",
        "servers = ['a:1', 2, 3]",
        "servers = ['a:1']\nconnections = 0",
    ]
    .map(with)
    .into();
    insta::assert_snapshot!(told.join("\n"), @r#"
    t:1: upstream.servers: missing: write for example ["127.0.0.1:11211"]
    t:2: upstream.servers: none given: at least one is needed
    t:2: upstream.servers[2]: a:1 is already in upstream.servers[0] (line 2)
    t:2: upstream.servers[0]: an embedded cache must be the only server
    t:2: upstream.servers[0]: 127.0.0.1:11313 is this proxy's own listeners[1].listen
    t:2: upstream.servers[1]: expected a string, found 2
    t:2: upstream.servers[2]: expected a string, found 3
    t:3: upstream.connections: 0 is out of range, expected 1 to 64
    "#);
}

#[test]
fn listeners_may_ask_what_connects() {
    let config = parse_after_base(
        "[[listeners]]\nlisten = 'unix:/a'\nidentify = ['process', 'hello']\n\
         [[listeners]]\nlisten = 'unix:/b'\nidentify = ['proxy-protocol']\nuntagged = 'pass'\n\
         [[listeners]]\nlisten = 'unix:/c'\nidentify = ['hello']\nuntagged = 'py27,django/1.11'",
    );
    let identify = |at: usize| config.listeners[at].admission.identify.clone();
    let each = |sources: &[Source], untagged| Identify::Each {
        sources: sources.iter().copied().collect(),
        untagged,
    };
    let (hello, process) = (Source::Hello, Source::Process);
    assert_eq!(identify(2), each(&[process, hello], Untagged::Refuse));
    assert_eq!(identify(3), each(&[Source::ProxyProtocol], Untagged::Pass));
    let tag = RuntimeTag::parse("python/2.7 django/1.11").unwrap();
    assert_eq!(identify(4), each(&[hello], Untagged::As(tag)));
    insta::assert_snapshot!(errors_after_base(
        "[[listeners]]\nlisten = 'unix:/a'\nidentify = ['hello', 'guess', 'hello']\n\
         [[listeners]]\nlisten = 'unix:/b'\nidentify = []\n\
         [[listeners]]\nlisten = 'unix:/c'\nidentify = ['hello']\nruntime = 'py3'\n\
         [[listeners]]\nlisten = 'unix:/d'\nidentify = ['hello']\nuntagged = 'pypy/7'\n\
         [[listeners]]\nlisten = 'unix:/e'\nidentify = ['hello']\nuntagged = 'what'\n\
         [[listeners]]\nlisten = 'unix:/f'\nruntime = 'py3'\nuntagged = 'refuse'",
    ), @r#"
    t:11: listeners[2].identify[1]: unknown source of tags "guess", expected hello, certificate, proxy-protocol or process
    t:11: listeners[2].identify[2]: hello is given twice
    t:14: listeners[3].identify: none given: at least one is needed
    t:18: listeners[4].runtime: all clients are this runtime: leave out identify
    t:22: listeners[5].untagged: no namespace is for pypy/7: py2 is for python <3, py3 is for python >=3
    t:26: listeners[6].untagged: "what" is none of refuse, pass and a runtime
    t:30: listeners[7].untagged: has no effect without identify
    "#);
}

#[test]
fn epochs_to_invalidate_are_further_spaces() {
    let config = parse_after_base(
        "[namespaces.py2]\nruntimes = 'python <3'\nalso_invalidate = [1]\n\
         [namespaces.py3]\nruntimes = 'python >=3'\nepoch = 4\nalso_invalidate = [3, 5]",
    );
    let codec = &config.snapshot.codec;
    let prefixes = codec
        .spaces()
        .map(|space| String::from_utf8_lossy(codec.prefix(space)));
    assert_eq!(
        prefixes.collect::<Vec<_>>(),
        [
            "",
            "@py2//",
            "@py3.4///",
            "@py2.1///",
            "@py3.3///",
            "@py3.5///"
        ]
    );
    let identity = identities(&config)[0];
    let decision = config.snapshot.decide(identity, b"k");
    assert_eq!(decision.siblings(codec).count(), 5);
    assert!(
        config
            .snapshot
            .others(decision.space)
            .eq([0, 2].map(SpaceId))
    );
    insta::assert_snapshot!(errors_after_base(
        "[namespaces.py]\nruntimes = 'python >=2'\nepoch = 4\nalso_invalidate = [3, 4, 3]",
    ), @r"
    t:12: namespaces.py.also_invalidate[1]: epoch 4 is given twice
    t:12: namespaces.py.also_invalidate[2]: epoch 3 is given twice
    ");
}

#[test]
fn an_empty_file_says_what_is_needed() {
    insta::assert_snapshot!(errors(""), @r#"
    t:1: listeners: missing: write [[listeners]] with listen and runtime
    t:1: upstream.servers: missing: write for example ["127.0.0.1:11211"]
    "#);
}

#[test]
fn a_list_of_rules_must_cover_everything() {
    let error = errors(&format!("rules = []\n{BASE}"));
    insta::assert_snapshot!(error, @r#"t:1: rules: no rule for everything else: add one with prefix = """#);
}

#[test]
fn a_key_given_twice_is_named() {
    insta::assert_snapshot!(errors_after_base("[server]\nworkers = 1\nworkers = 2"), @"t:11: workers: duplicate key");
}

#[test]
fn syntax_errors_have_their_lines() {
    insta::assert_snapshot!(errors("[upstream\nservers = [\n\n[limits]\na = 1\na = 2\n"), @r"
    t:1: unclosed table, expected `]`
    t:5: missing comma between array elements, expected `,`
    t:6: missing comma between array elements, expected `,`
    ");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = Config::load(Path::new("/no/such.toml")).unwrap_err();
    insta::assert_snapshot!(error, @"/no/such.toml: cannot be read: No such file or directory (os error 2)");
}

#[test]
fn flags_are_named_when_wrong() {
    let strings = |list: &[&str]| list.iter().map(|&s| s.to_owned()).collect::<Vec<_>>();
    let listen = strings(&[
        "a:1",
        "a:1=ruby",
        "a=py2",
        "b:1=py2",
        "b:1=py3",
        "c:1=pypy/7",
    ]);
    let error = Config::from_flags(&listen, &strings(&["c", "b:1"]), Some("d")).unwrap_err();
    insta::assert_snapshot!(error, @r#"
    --listen a:1: no runtime in it: write ADDR=RUNTIME
    --listen a:1=ruby: "ruby" is no runtime: write python/3.11 or a short form such as py3, py2.7, cp311
    --listen a=py2: "a" is no address: write host:port, [v6]:port or unix:/path
    --listen c:1=pypy/7: no namespace is for pypy/7: py2 is for python <3, py3 is for python >=3
    --admin d: "d" is no address: write host:port, [v6]:port or unix:/path
    --upstream c: "c" is no address: write host:port, [v6]:port or unix:/path
    --listen b:1=py3: b:1 is given twice
    --upstream b:1: b:1 is this proxy's own --listen b:1=py2
    "#);
    let error = Config::from_flags(&[], &[], None).unwrap_err();
    insta::assert_snapshot!(error, @r"
    --listen: none given: at least one is needed
    --upstream: none given: at least one is needed
    ");
}

#[test]
fn limits_on_names_hold_at_their_edges() {
    let name = "n".repeat(32);
    assert_eq!(
        errors_after_base(&format!("[namespaces.{name}]\nruntimes = 'python >=2'")),
        ""
    );
    let error = errors_after_base(&format!("[namespaces.n{name}]\nruntimes = 'python >=2'"));
    assert!(error.contains("a name is 1 to 32"), "{error}");
    let prefix = |len| {
        let prefix = "p".repeat(len);
        errors_after_base(&format!("[[rules]]\n[[rules]]\nprefix = '{prefix}'"))
    };
    assert_eq!(prefix(250), "");
    assert_eq!(
        prefix(251),
        "t:11: rules[1].prefix: prefix is 251 bytes, limit 250"
    );
    let many = |n| {
        let table = |i| format!("[namespaces.n{i}]\nruntimes = 'python >=2'");
        errors_after_base(&(0..n).map(table).collect::<Vec<_>>().join("\n"))
    };
    assert_eq!(many(255), "");
    assert_eq!(
        many(256),
        "t:519: namespaces.n255: 256 namespaces, limit 255"
    );
}

#[test]
fn slips_are_warned_of() {
    let config = parse_after_base(
        "[admin]\nlisten = '0.0.0.0:9151'\n\
         [[rules]]\ncoherence = 'none'\n\
         [[rules]]\nprefix = 'lock:'\nmode = 'shared'\nrollout = 0\nsniff = 'header'\n\
         [[rules]]\nprefix = 'page:'\nmode = 'observe'\non_unloadable_read = 'pass'",
    );
    assert_eq!(config.snapshot.rules.find(b"lock:1").rule.sniff, Sniff::Off);
    insta::assert_snapshot!(config.warnings.join("\n"), @r"
    t:10: admin.listen: 0.0.0.0:9151 can be reached from other machines
    t:12: rules[0].coherence: a delete leaves the other copies, which are then stale
    t:16: rules[1].rollout: has no effect in mode shared
    t:17: rules[1].sniff: has no effect in mode shared
    t:21: rules[2].on_unloadable_read: has no effect in mode observe
    ");
}

#[test]
fn any_ports_do_not_collide() {
    let toml = BASE.replace("11312", "0").replace("11313", "0");
    assert_eq!(errors(&toml), "");
}

/// Errors of each snippet after [`BASE`].
fn table(snippets: &[&str]) -> String {
    let told: Vec<String> = snippets
        .iter()
        .map(|toml| errors_after_base(toml))
        .collect();
    told.join("\n")
}

/// Lines that nearly make a configuration.
fn any_lines() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        Just(BASE.to_owned()),
        "\\[{1,2}(upstream|listeners|namespaces|namespaces.a|rules|limits|pickle)\\]{1,2}",
        "(servers|listen|runtime|runtimes|prefix|mode|rollout|epoch|flag_bit|max_value_bytes) = \
         (-?[0-9]{1,20}|'[a-z0-9:/.=<>-]{0,9}'|\\[('a:1')?\\]|\\{a = 1\\}|true)",
    ];
    proptest::collection::vec(line, 0..12).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = Config::parse("t", &text);
    }

    #[test]
    fn near_configurations_do_not_panic(text in any_lines()) {
        if let Err(errors) = Config::parse("t", &text) {
            prop_assert!(errors.iter().all(|error| error.line.is_some()));
        }
    }

    #[test]
    fn no_flags_panic(
        listen in proptest::collection::vec("(a:1|unix:/|\\[::1\\])?[=:a-z0-9]{0,6}(=py3)?", 0..4),
        upstream in proptest::collection::vec("(a:|unix:/|embedded:)?[:a-z0-9]{0,4}", 0..4),
    ) {
        let _ = Config::from_flags(&listen, &upstream, upstream.first().map(String::as_str));
    }
}

#[test]
fn the_whole_value_is_looked_at_unless_a_rule_says_otherwise() {
    let rule = |rule: &str| {
        let config = parse_after_base(&format!("[[rules]]\nprefix = ''\n{rule}"));
        config.snapshot.rules.find(b"k").rule.clone()
    };
    for mode in ["", "mode = 'observe'", "mode = 'guard'", "mode = 'isolate'"] {
        assert_eq!(rule(mode).sniff, Sniff::Full, "{mode}");
    }
    assert_eq!(rule("mode = 'shared'").sniff, Sniff::Off);
    assert_eq!(rule("sniff = 'header'").sniff, Sniff::Header);
    assert_eq!(rule("globals = 'allow'").sniff, Sniff::Full);
    let transcodes = rule("on_unloadable_read = 'transcode'\npy2_str = 'bytes'");
    assert_eq!(transcodes.sniff, Sniff::Full);
    assert_eq!(transcodes.on_unloadable_read, OnUnloadableRead::Transcode);
    assert_eq!(transcodes.py2_str, Py2Str::Bytes);
}

#[test]
fn mistakes_about_pickles_are_named() {
    insta::assert_snapshot!(table(&[
        "[[rules]]\nsniff = 'header'\non_unloadable_read = 'transcode'",
        "[[rules]]\nsniff = 'off'\nglobals = 'deny'",
        "[pickle]\ndeny_globals = ['os.*', 'os']",
        "[pickle]\nallow_globals = ['call os.system', 'os.system']",
        "[pickle]\nmax_inflate_ratio = 0\nmax_inflated_bytes = 'much'",
        "[pickle.extensions]\nx = 'module:name'\n240 = 'module.name'",
        "[namespaces.all]\nruntimes = 'python >=2'\ninventory = 'no such file'",
    ]), @r#"
    t:10: rules[0].sniff: on_unloadable_read = "transcode" needs sniff = "full"
    t:10: rules[0].sniff: globals needs sniff = "full"
    t:10: pickle.deny_globals[1]: "os" is no pattern: write module.name, module.* or built-in
    t:10: pickle.allow_globals[1]: "os.system" is no entry: write "call module.name", "data module.name", "named module.name" or "getattr module.Class.attribute"
    t:10: pickle.max_inflate_ratio: 0 is out of range, expected 1 to 10000
    t:11: pickle.max_inflated_bytes: "much" is no size: write for example "1MiB"
    t:10: pickle.extensions.x: a code is a number from 1 to 2147483647
    t:11: pickle.extensions.240: "module.name" is no global: write "module:name"
    t:11: namespaces.all.inventory: no such file cannot be read: No such file or directory (os error 2)
    "#);
}

#[test]
fn what_is_held_for_all_has_room_for_two_values() {
    let bytes = |limits: &str| {
        let parsed = Config::parse("t", &format!("{BASE}[limits]\n{limits}\n"));
        parsed.map(|config| config.limits.max_buffered_bytes)
    };
    assert_eq!(bytes("").unwrap(), 64 << 20);
    assert_eq!(bytes("max_value_bytes = '64MiB'").unwrap(), 256 << 20);
    let both = "max_value_bytes = '4MiB'\nmax_buffered_bytes = '8MiB'";
    assert_eq!(bytes(both).unwrap(), 8 << 20);
    let less = bytes("max_value_bytes = '4MiB'\nmax_buffered_bytes = '7MiB'");
    let told = less.unwrap_err().to_string();
    let end = "limits.max_buffered_bytes: 7MiB is less than two values of max_value_bytes";
    assert!(told.ends_with(end), "{told}");
}

#[test]
fn reads_of_a_server_that_failed_are_misses_unless_the_rule_says_error() {
    for (setting, expected) in [
        ("", OnUpstreamFailure::Miss),
        ("on_upstream_failure = 'miss'", OnUpstreamFailure::Miss),
        ("on_upstream_failure = 'error'", OnUpstreamFailure::Error),
    ] {
        let rule = format!("{BASE}[[rules]]\nprefix = ''\nmode = 'shared'\n{setting}\n");
        let config = Config::parse("t", &rule).unwrap();
        let rule = &config.snapshot.rules.find(b"k").rule;
        assert_eq!(rule.on_upstream_failure, expected, "{setting}");
    }
}

#[test]
fn a_server_that_is_a_listener_by_another_name_is_an_error() {
    let toml = "[upstream]\nservers = ['localhost:11312']\n\
                [[listeners]]\nlisten = '0.0.0.0:11312'\nruntime = 'py3'\n";
    assert_eq!(
        errors(toml),
        "t:2: upstream.servers[0]: localhost:11312 is this proxy's own listeners[0].listen, \
         0.0.0.0:11312"
    );
}

#[test]
fn prefixes_and_namespaces_that_nothing_is_in_are_told() {
    let long = "x".repeat(190);
    let config = parse_after_base(&format!(
        "[namespaces.all]\nruntimes = 'python >=2'\n[namespaces.new]\n\
         runtimes = 'python >=3.11'\n[namespaces.none]\nruntimes = 'python >=3, <3'\n\
         [[rules]]\nprefix = ''\n[[rules]]\nprefix = 'a b'\n[[rules]]\nprefix = \"c\\n\"\n\
         [[rules]]\nprefix = '{long}'\n"
    ));
    insta::assert_snapshot!(config.warnings.join("\n"), @r"
    t:12: namespaces.new.runtimes: no runtime is left for it: all before it takes them all
    t:14: namespaces.none.runtimes: no runtime can be in it: its ranges exclude each other
    t:18: rules[1].prefix: holds ' ': only keys in base64 can start with it
    t:20: rules[2].prefix: holds '\n': only keys in base64 can start with it
    ");
    assert_eq!(
        errors_after_base(&format!(
            "[[rules]]\nprefix = ''\n[[rules]]\nprefix = '{long} '\n"
        )),
        "t:12: rules[1].prefix: no key can start with it: only one in base64 has a ' ', which is \
         at most 186 bytes"
    );
}
