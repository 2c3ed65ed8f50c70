use super::*;
use crate::pickle::inventory::Inventory;
use crate::pickle::{Extensions, Reader, Scanner};

/// An inventory of one module, `shop`, whose names have these facts.
fn inventory(python: (u64, u64), facts: &[(&str, &str)]) -> Inventory {
    let names: Vec<_> = facts.iter().map(|(name, _)| *name).collect();
    let numbers: Vec<_> = (0..facts.len()).map(|number| number.to_string()).collect();
    let facts: Vec<_> = facts.iter().map(|(_, facts)| *facts).collect();
    let listing = serde_json::json!({
        "format": 2, "python": [python.0, python.1, 0], "distributions": {}, "open": [],
        "modules": {"shop": names.join(" ")}, "facts": facts,
        "facts_of": {"shop": numbers.join(" ")},
        "classic": {}, "bytes_based": {}, "text_based": {}, "no_dict": {}, "walked": [],
        "importable": null, "errors": {}, "owners": {},
    });
    Inventory::read("app", listing.to_string().as_bytes()).unwrap()
}

/// What 3.13 makes of a pickle of 3.8, where a name of `shop` has these facts on each side.
fn judged(pickle: &[u8], name: &str, ours: &str, theirs: &str) -> String {
    let ours = inventory((3, 8), &[(name, ours)]);
    let theirs = inventory((3, 13), &[(name, theirs)]);
    let pool = |inventory| Pool {
        reader: Reader::of_inventory(inventory),
        inventory: Some(inventory),
    };
    let mut scanner = Scanner::default();
    let scan = scanner.scan(pickle, Extensions::NONE).unwrap();
    let writers = scan.writer().among(std::iter::once(pool(&ours)));
    let judged = scan.judge(Reader::of_inventory(&theirs), Some(&theirs));
    let judged = judged.and_then(|()| scan.prove(pool(&theirs), &writers));
    judged.map_or_else(|reason| reason.to_string(), |()| "loadable".to_owned())
}

/// `Cart()` with a state of these attributes, each 1.
fn cart(attributes: &[&str]) -> Vec<u8> {
    let mut pickle = b"\x80\x03cshop\nCart\n)\x81}(".to_vec();
    for attribute in attributes {
        pickle.push(b'X');
        pickle.extend((attribute.len() as u32).to_le_bytes());
        pickle.extend(attribute.as_bytes());
        pickle.extend(b"K\x01");
    }
    pickle.extend(b"ub.");
    pickle
}

#[test]
fn a_class_that_is_the_same_proves_itself() {
    let facts = "class init=1-2 sets=items,owner";
    assert_eq!(judged(&cart(&["items"]), "Cart", facts, facts), "loadable");
}

#[test]
fn a_state_with_all_that_the_reader_needs_is_proved() {
    let before = "class init=1-1 sets=items";
    let after = "class init=1-2 sets=items,owner";
    let all = cart(&["owner", "items", "more"]);
    assert_eq!(judged(&all, "Cart", before, after), "loadable");
    insta::assert_snapshot!(
        judged(&cart(&["items"]), "Cart", before, after),
        @"shop.Cart differs between writer and reader: attributes"
    );
    // One of two has it.
    let two = [
        &b"("[..],
        &all[2..all.len() - 1],
        &cart(&["items"])[2..],
        b"t.",
    ]
    .concat();
    let two = [
        &b"\x80\x03"[..],
        &two.split(|b| *b == b'.').collect::<Vec<_>>().concat(),
        b".",
    ]
    .concat();
    insta::assert_snapshot!(
        judged(&two, "Cart", before, after),
        @"shop.Cart differs between writer and reader: attributes"
    );
}

#[test]
fn the_keys_of_a_state_are_known_however_deep_what_it_holds_is() {
    let before = "class sets=items";
    let after = "class sets=items,owner";
    // {'items': {'a': {'b': 1}}, 'owner': [{}, {'c': 1}, ...]}
    let mut pickle = b"\x80\x03cshop\nCart\n)\x81}(X\x05\0\0\0items}X\x01\0\0\0a}X\x01\0\0\0bK\x01ssX\x05\0\0\0owner](".to_vec();
    for _ in 0..200 {
        pickle.extend(b"}X\x01\0\0\0cK\x01s");
    }
    pickle.extend(b"eub.");
    assert_eq!(judged(&pickle, "Cart", before, after), "loadable");
}

#[test]
fn arguments_that_the_reader_does_not_take_are_refused() {
    let call = b"\x80\x03cshop\nmake\nK\x01K\x02\x86R.";
    let one = "function 1-1 #00000001";
    let two = "function 1-2 #00000001";
    assert_eq!(judged(call, "make", two, two), "loadable");
    insta::assert_snapshot!(
        judged(call, "make", two, one),
        @"shop.make takes other arguments in this reader than the pickle gives"
    );
}

#[test]
fn members_are_there_under_the_same_names() {
    let member = b"\x80\x03cshop\nKind\nK\x02\x85R.";
    let both = "class enum=A:i1,B:i2";
    assert_eq!(
        judged(member, "Kind", both, "class enum=A:i1,B:i2,C:i3"),
        "loadable"
    );
    insta::assert_snapshot!(
        judged(member, "Kind", both, "class enum=A:i1"),
        @"shop.Kind has no member of this value in this reader"
    );
    insta::assert_snapshot!(
        judged(member, "Kind", both, "class enum=A:i1,Z:i2"),
        @"shop.Kind differs between writer and reader: members"
    );
}

#[test]
fn states_go_where_there_is_a_place_for_them() {
    // (None, {'x': 1})
    let slots = b"\x80\x03cshop\nCart\n)\x81N}X\x01\0\0\0xK\x01s\x86b.";
    let has = "class nodict slots=x";
    assert_eq!(
        judged(slots, "Cart", has, "class nodict slots=x,z"),
        "loadable"
    );
    insta::assert_snapshot!(
        judged(slots, "Cart", has, "class nodict slots=y"),
        @"shop.Cart has no such slot in this reader"
    );
    insta::assert_snapshot!(
        judged(&cart(&["x"]), "Cart", "class", has),
        @"shop.Cart takes no such state in this reader"
    );
    insta::assert_snapshot!(
        judged(&cart(&["x"]), "Cart", "class", "class setstate=#00000001"),
        @"shop.Cart differs between writer and reader: __setstate__"
    );
}

#[test]
fn what_nobody_listed_is_unknown() {
    let other = b"\x80\x03cmarket\nStall\n)\x81.";
    insta::assert_snapshot!(
        judged(other, "Cart", "class", "class"),
        @"nothing is known of market.Stall in the reader: give its namespace an inventory"
    );
    // A class in C is known by its release alone.
    insta::assert_snapshot!(
        judged(&cart(&["x"]), "Cart", "class c", "class c"),
        @"shop.Cart is written in C, and its instances were not seen to come over"
    );
}

#[test]
fn a_python_later_than_the_tables_is_not_taken_for_the_last_of_them() {
    let mut scanner = Scanner::default();
    let pool = |minor| Pool {
        reader: Reader::of_python(3, Some(minor)),
        inventory: None,
    };
    let mut proved = |pickle: &[u8], minor| {
        let scan = scanner.scan(pickle, Extensions::NONE).unwrap();
        scan.prove(pool(minor), &std::iter::once(pool(13))).is_ok()
    };
    let date = b"\x80\x03cdatetime\ndate\nC\x04\x07\xe4\x02\x1d\x85R.";
    assert!(proved(date, 15));
    assert!(!proved(date, 16));
    assert!(proved(b"\x80\x03}X\x01\0\0\0aK\x01s.", 16));
}

#[test]
fn code_is_for_the_minor_version_that_wrote_it() {
    let mut scanner = Scanner::default();
    let pool = |minor| Pool {
        reader: Reader::of_python(3, Some(minor)),
        inventory: None,
    };
    let code = b"\x80\x03cmarshal\nloads\nC\x01x\x85R.";
    let scan = scanner.scan(code, Extensions::NONE).unwrap();
    let reason = scan
        .prove(pool(12), &std::iter::once(pool(13)))
        .unwrap_err();
    insta::assert_snapshot!(
        reason.to_string(),
        @"marshal.loads makes code, which only the minor version that wrote it runs"
    );
}
