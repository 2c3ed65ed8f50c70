use std::collections::BTreeMap;
use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

/// Keys as applications make them, each with the family that a person expects.
const KEYS: &str = include_str!("../../../tests/fixtures/families/keys.tsv");
/// Shapes of keys, each with that family.
const SHAPES: &str = include_str!("../../../tests/fixtures/families/shapes.tsv");

const HEX: &str = "0123456789abcdef";
const BASE32: &str = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const BASE36: &str = "0123456789abcdefghijklmnopqrstuvwxyz";
const BASE62: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const URL_SAFE: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
const NAMES: [&str; 8] = ["ana", "bob", "carla", "deniz", "eva", "finn", "gül", "hugo"];
const WORDS: [&str; 12] = [
    "shoes",
    "report",
    "daily",
    "orders",
    "banner",
    "weekly",
    "customers",
    "export",
    "images",
    "menu",
    "sidebar",
    "taxes",
];
const LANGUAGES: [&str; 5] = ["de", "en-us", "pt-br", "zh-hans", "fr"];

fn namer() -> Namer {
    Namer::new(&Separators::default())
}

fn family(key: &str) -> String {
    String::from_utf8(namer().name(key.as_bytes()).as_bytes().to_vec()).expect("the key is UTF-8")
}

fn rows(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    table.lines().skip(1).map(|row| row.split('\t').collect())
}

/// Text in the place of a placeholder.
fn filled(placeholder: &str, random: &mut fastrand::Rng) -> String {
    let mut text = |len: usize, alphabet: &str| -> String {
        let letter = |_| char::from(random.choice(alphabet.bytes()).expect("there are some"));
        (0..len).map(letter).collect()
    };
    match placeholder {
        "n" => random.u32(1..5_000_000).to_string(),
        "small" => random.u32(1..1_000).to_string(),
        "ms" => random.u64(1_600_000_000_000..1_900_000_000_000).to_string(),
        "date" => format!(
            "{}-{:02}-{:02}",
            random.u32(2015..2030),
            random.u32(1..13),
            random.u32(1..29)
        ),
        "hex8" => text(8, HEX),
        "hex24" => text(24, HEX),
        "hex32" => text(32, HEX),
        "hex40" => text(40, HEX),
        "hex64" => text(64, HEX),
        "uuid" => [8, 4, 4, 4, 12].map(|len| text(len, HEX)).join("-"),
        "ulid" => text(26, BASE32),
        "base36" => text(6, BASE36),
        "base36_26" => text(26, BASE36),
        "base36_32" => text(32, BASE36),
        "b62_8" => text(8, BASE62),
        "b62_20" => text(20, BASE62),
        "b62_22" => text(22, BASE62),
        "b62_32" => text(32, BASE62),
        "ksuid" => text(27, BASE62),
        "nanoid" => text(21, URL_SAFE),
        "b64u22" => text(22, URL_SAFE),
        "b64u43" => text(43, URL_SAFE),
        "geohash" => text(9, "0123456789bcdefghjkmnpqrstuvwxyz"),
        "ip" => [0; 4].map(|_| random.u8(..).to_string()).join("."),
        "ip6" => format!("2001:db8:{:x}::{:x}", random.u16(..), random.u16(..)),
        "email" => format!(
            "{}.{}{}@example.co.uk",
            NAMES[random.usize(..8)],
            NAMES[random.usize(..6)],
            random.u8(..)
        ),
        "name" => format!("{}{}", NAMES[random.usize(..8)], random.u8(..)),
        "word" => WORDS[random.usize(..12)].to_owned(),
        "CONST" => format!("SHOW_{}", WORDS[random.usize(..12)].to_uppercase()),
        "lang" => LANGUAGES[random.usize(..5)].to_owned(),
        other => panic!("{other} is no placeholder"),
    }
}

fn key_of(shape: &str, random: &mut fastrand::Rng) -> String {
    let mut key = String::new();
    let mut rest = shape;
    while let Some((before, behind)) = rest.split_once('{') {
        let (placeholder, after) = behind.split_once('}').expect("it is closed");
        key += before;
        key += &filled(placeholder, random);
        rest = after;
    }
    key + rest
}

#[test]
fn a_family_is_what_a_person_expects() {
    let mut wrong = String::new();
    for row in rows(KEYS) {
        let [who, key, expected] = row[..] else {
            panic!("{row:?}");
        };
        let name = family(key);
        if name != expected {
            let _ = writeln!(wrong, "{who}: {key} is of {name}, not {expected}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn nearly_all_keys_of_many_applications_are_where_they_belong() {
    const KEYS: usize = 200_000;
    let random = &mut fastrand::Rng::with_seed(20);
    let shapes: Vec<_> = rows(SHAPES).collect();
    let namer = namer();
    let mut families: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    let mut right = 0;
    for at in 0..KEYS {
        let [shape, expected] = shapes[at % shapes.len()][..] else {
            panic!("a shape and its family");
        };
        let name = namer.name(key_of(shape, random).as_bytes());
        right += usize::from(name.as_bytes() == expected.as_bytes());
        *families.entry(name.as_bytes().to_vec()).or_default() += 1;
    }
    let share = right as f64 / KEYS as f64;
    println!(
        "{} shapes: {share:.4} where they belong, {} families",
        shapes.len(),
        families.len()
    );
    assert!(share > 0.995, "{share}");
    assert!(families.len() < 250, "{}", families.len());
}

#[test]
fn what_a_key_starts_with_is_told_as_it_is() {
    let namer = namer();
    for (key, start, is_start) in [
        ("user:42", "user:", true),
        ("shop:1:cart:42:items", "shop:1:cart:", true),
        (":12:cart:42", ":12:cart:", true),
        ("shop:1:user:42:lock", "shop:1:user:", false),
        ("user:42:lock", "user:", false),
        ("8609ea89da30b8cf31fdd46800545941_session", "", false),
        (":1:homepage", ":1:", false),
        ("homepage", "", false),
        ("visitors_count", "visitors_count", true),
    ] {
        let name = namer.name(key.as_bytes());
        assert_eq!(name.start(key.as_bytes()), start.as_bytes(), "{key}");
        assert_eq!(name.is_start(), is_start, "{key}");
    }
}

#[test]
fn families_above_end_below_the_head() {
    let namer = namer();
    for (key, above) in [
        ("shop:1:user:ana:42", &["shop:#:user:"][..]),
        ("shop:1:user:42", &[]),
        ("shop:1:lock:report:42:lock", &["shop:#:lock:*:lock"]),
        (
            "shop.views.get_list:42",
            &["shop.views.get_", "shop.views.", "shop."],
        ),
        ("42:user:7", &["<number>:"]),
        ("homepage", &[]),
    ] {
        let name = namer.name(key.as_bytes());
        let all: Vec<_> = namer.above(&name).collect();
        let told: Vec<_> = all
            .iter()
            .map(|name| std::str::from_utf8(name.as_bytes()).unwrap())
            .collect();
        assert_eq!(told, above, "{key}");
        for name in all {
            assert!(name.start <= key.len());
            assert!(key.as_bytes().starts_with(name.start(key.as_bytes())));
        }
    }
}

#[test]
fn separators_are_configured() {
    let namer = Namer::new(&Separators::new("~"));
    let name =
        |key: &str| String::from_utf8(namer.name(key.as_bytes()).as_bytes().to_vec()).unwrap();
    assert_eq!(name("user~42"), "user~");
    assert_eq!(name("user:name~42"), "user:name~");
    assert_eq!(Separators::new(":~ ").to_string(), "\" :~\"");
}

fn any_key() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        Just("user"),
        Just(":"),
        Just("1"),
        Just("42"),
        Just("_"),
        Just("."),
        Just("@"),
        Just("v2"),
        Just("lock"),
        Just("count"),
        Just("("),
        Just("="),
        Just("/"),
        Just("-"),
        Just("example.com"),
        Just("8609ea89da30b8cf31fdd46800545941"),
        Just("\u{20ac}"),
        Just("<hex32>"),
        Just("*"),
        Just("#"),
        Just("2001:db8::1"),
        Just("aB3-_xY"),
    ];
    let parts =
        proptest::collection::vec(part, 0..40).prop_map(|parts| parts.concat().into_bytes());
    prop_oneof![parts, proptest::collection::vec(any::<u8>(), 0..300)]
}

proptest! {
    #[test]
    fn any_bytes_have_a_bounded_name(key in any_key()) {
        let namer = namer();
        let name = namer.name(&key);
        prop_assert!(!name.as_bytes().is_empty());
        prop_assert!(name.as_bytes().len() <= MAX_NAME_BYTES);
        prop_assert_eq!(&name, &namer.name(&key));
        prop_assert!(name.start <= key.len());
        if std::str::from_utf8(&key).is_ok() {
            prop_assert!(std::str::from_utf8(name.as_bytes()).is_ok());
        }
        for above in namer.above(&name) {
            prop_assert!(above.as_bytes().len() < name.as_bytes().len());
            prop_assert!(name.start(&key).starts_with(above.start(&key)));
        }
        // Without a head, what is spelled out is what the key starts with.
        if name.is_start() && namer.head(&key).is_none() {
            prop_assert!(key.starts_with(name.as_bytes()));
        }
    }

    #[test]
    fn keys_that_differ_in_what_varies_are_of_one_family(
        at in 0..rows(SHAPES).count(),
        n in proptest::array::uniform2(1_000u32..u32::MAX),
    ) {
        let shape = rows(SHAPES).nth(at).expect("it is one of them")[0];
        if shape.contains("{n}") {
            let other = |n: u32| shape.replace("{n}", &n.to_string()).replace(['{', '}'], "");
            let [one, two] = n.map(|n| family(&other(n)));
            prop_assert_eq!(&one, &two);
            prop_assert!(!one.contains(&n[0].to_string()));
        }
    }

    #[test]
    fn a_name_has_two_strong_separators_behind_its_head(words in proptest::collection::vec("[a-z]{3,7}", 1..9)) {
        let name = family(&words.join(":"));
        prop_assert!(name.matches(':').count() <= 2 + usize::from(name.contains('*')), "{}", name);
    }
}
