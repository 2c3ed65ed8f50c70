use super::*;
use crate::engine::value::judged::Writer;

fn families() -> Families {
    Families::new(Some(Separators::default()), 3)
}

fn name(family: &Family) -> &str {
    std::str::from_utf8(family.name.as_bytes()).unwrap()
}

fn of<'f>(families: &'f Families, wanted: &str) -> Option<&'f Family> {
    families.iter().find(|family| name(family) == wanted)
}

/// Lower-case letters that say nothing.
fn letters(random: &mut fastrand::Rng) -> String {
    let len = random.usize(4..9);
    (0..len).map(|_| random.lowercase()).collect()
}

/// No pickle.
const PLAIN: Judged = Judged {
    shown: Shown::AsIs,
    pickle: None,
};

fn judged(verdict: Verdict, reason: Option<&'static str>) -> Judged {
    let pickle = Pickle {
        protocol: Some(2),
        writer: Writer::Unknown,
        verdict,
        reason,
        no_form: None,
        of_another: false,
    };
    Judged {
        shown: Shown::AsIs,
        pickle: Some(pickle),
    }
}

#[test]
fn what_is_used_most_stays() {
    let families = &mut families();
    let random = &mut fastrand::Rng::with_seed(1);
    for n in 0..100_000u32 {
        let heavy = format!("heavy{}:1", (b'a' + (n % 20) as u8) as char);
        families.read(heavy.as_bytes(), SpaceId(1), None);
        families.read(
            format!("{}:1", letters(random)).as_bytes(),
            SpaceId(2),
            None,
        );
    }
    assert!(families.iter().count() <= MAX_FAMILIES);
    let mut most: Vec<_> = families.iter().collect();
    most.sort_by_key(|family| std::cmp::Reverse(family.reads));
    for family in &most[..20] {
        assert!(name(family).starts_with("heavy"), "{family:?}");
        // Of 5,000, most were sampled.
        assert!((4_000..=6_000).contains(&family.reads), "{}", family.reads);
    }
    let off = &mut Families::new(None, 3);
    off.read(b"user:1", SpaceId(1), None);
    assert_eq!(off.iter().count(), 0);
}

#[test]
fn a_million_hostile_keys_hide_no_honest_family() {
    const HONEST: usize = 40;
    type Ask = fn(&mut Families, &[u8]);
    let asked: [(&str, usize, Ask); 3] = [
        ("gets", 1_000_000, |families, key| {
            families.read(key, SpaceId(1), None);
        }),
        ("sets", 1_000_000, |families, key| {
            families.wrote(key, SpaceId(1), &PLAIN);
        }),
        ("adds", 1_000_000, |families, key| {
            families.wrote(key, SpaceId(1), &PLAIN);
            families.splits(key, Split::Lock);
        }),
    ];
    for (what, keys, ask) in asked {
        let families = &mut families();
        let random = &mut fastrand::Rng::with_seed(2);
        for n in 0..keys {
            let [one, two] = [letters(random), letters(random)];
            let key = match n % 5 {
                0 => format!("{one}:{two}:{n}"),
                1 => format!("{one}_{two}"),
                2 => format!("{one}:{}:{two}:x", n % 1_000),
                3 => format!("user:{one}:{two}"),
                _ => (0..random.usize(1..250))
                    .map(|_| random.u8(33..127) as char)
                    .collect(),
            };
            ask(families, key.as_bytes());
            if n % 5 == 0 {
                let honest = format!("honest{}:{n}", (b'a' + (n / 5 % HONEST) as u8) as char);
                families.read(honest.as_bytes(), SpaceId(2), None);
            }
        }
        assert!(families.iter().count() <= MAX_FAMILIES, "{what}");
        let told = families
            .iter()
            .filter(|family| name(family).starts_with("honest"));
        assert_eq!(told.count(), HONEST, "{what}");
    }
}

#[test]
fn many_light_families_are_taken_in_by_the_one_above_them() {
    let families = &mut families();
    let random = &mut fastrand::Rng::with_seed(3);
    for _ in 0..2_000 {
        let key = format!("shop:12:profile:{}:7", letters(random));
        families.wrote(key.as_bytes(), SpaceId(1), &judged(Verdict::Loadable, None));
        families.read(b"shop:12:profile:everybody:7", SpaceId(2), None);
        families.read(b"shop:12:cart:7", SpaceId(2), None);
    }
    let mut names: Vec<_> = families.iter().map(name).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "shop:#:cart:",
            "shop:#:profile:",
            "shop:#:profile:everybody:"
        ]
    );
    let profile = of(families, "shop:#:profile:").unwrap();
    assert!((1_600..=2_400).contains(&profile.writes), "{profile:?}");
    assert_eq!(profile.loadable, profile.writes);
    assert_eq!(profile.starts, [Box::from(&b"shop:12:profile:"[..])]);
    // The head of all is none above them, however many there are.
    for _ in 0..2_000 {
        families.read(
            format!("shop:12:{}:7", letters(random)).as_bytes(),
            SpaceId(1),
            None,
        );
    }
    assert!(families.iter().all(|family| name(family) != "shop:#:"));
}

#[test]
fn a_lock_is_no_value_among_others() {
    let families = &mut families();
    let random = &mut fastrand::Rng::with_seed(4);
    for n in 0..900 {
        families.read(
            format!("app:{}:7", letters(random)).as_bytes(),
            SpaceId(1),
            None,
        );
        if n == 700 || n == 10 {
            let key = format!("app:lock{}:7", if n == 10 { "early" } else { "late" });
            families.wrote(key.as_bytes(), SpaceId(1), &PLAIN);
            families.splits(key.as_bytes(), Split::Lock);
        }
    }
    assert!(of(families, "app:").is_some_and(|app| app.locks == 0));
    for lock in ["app:lockearly:", "app:locklate:"] {
        assert_eq!(of(families, lock).map(|family| family.locks), Some(1));
    }
}

#[test]
fn verdicts_are_told_apart() {
    let families = &mut families();
    let key = b"user:42";
    for (verdict, reason) in [
        (Verdict::Loadable, None),
        (Verdict::Unloadable, Some("protocol")),
        (Verdict::Unknown, Some("broken")),
        (Verdict::NotLookedAt, None),
    ] {
        let judged = judged(verdict, reason);
        families.read(key, SpaceId(1), Some((&judged, "app.User")));
        families.wrote(key, SpaceId(1), &judged);
    }
    let user = of(families, "user:").unwrap();
    assert_eq!((user.loadable, user.not_looked_at), (2, 2));
    assert_eq!(
        user.unloadable.iter().collect::<Vec<_>>(),
        [("protocol", 2)]
    );
    assert_eq!(user.unknown.iter().collect::<Vec<_>>(), [("broken", 2)]);
    assert_eq!(user.globals, [("app.User".to_owned(), 2)]);
}

#[test]
fn what_is_sampled_counts_for_all() {
    let families = &mut families();
    for n in 0..80_000u32 {
        families.wrote(
            format!("user:{n}").as_bytes(),
            SpaceId(1),
            &judged(Verdict::Loadable, None),
        );
    }
    for _ in 0..7 {
        families.wrote(
            b"user:1",
            SpaceId(1),
            &judged(Verdict::Unloadable, Some("protocol")),
        );
    }
    let user = of(families, "user:").unwrap();
    assert!((76_000..=84_000).contains(&user.writes), "{}", user.writes);
    assert_eq!(user.writers, [0, user.writes, 0]);
    assert_eq!(user.unloadable.of("protocol"), 7);
}

#[test]
fn starts_differ_by_heads_and_are_few() {
    let families = &mut families();
    for version in 1..=3 {
        families.read(
            format!("shop:{version}:cart:7").as_bytes(),
            SpaceId(1),
            None,
        );
    }
    let cart = of(families, "shop:#:cart:").unwrap();
    assert_eq!((cart.starts.len(), cart.has_more_starts), (3, false));
    for version in 4..=9 {
        families.read(
            format!("shop:{version}:cart:7").as_bytes(),
            SpaceId(1),
            None,
        );
    }
    let cart = of(families, "shop:#:cart:").unwrap();
    assert_eq!(
        (cart.starts.len(), cart.has_more_starts),
        (MAX_STARTS, true)
    );
}
