//! Lives through requests of each kind in a function of its own, so that
//! callgrind tells what they cost: `loadtest/instructions` runs it. Prints the
//! functions, each with how many requests it lived through.
#![forbid(unsafe_code)]

mod setup;

use std::hint::black_box;

use setup::{KEY, multi_get, pickle, set, store, turn};

/// Requests that each function lives through.
const REQUESTS: usize = 6400;
/// Turns in which every buffer finds its size.
const WARM_UP_TURNS: usize = 20;

/// A function for each scenario, which is a turn and how many requests, or
/// keys, are in it.
macro_rules! scenarios {
    ($($name:ident: $per_turn:literal in $turn:expr;)*) => {
        fn main() {
            $({
                #[inline(never)]
                fn $name(turn: &mut setup::Replay) {
                    for _ in 0..REQUESTS / $per_turn {
                        turn.turn();
                        // Functions that are alike become one.
                        black_box(stringify!($name));
                    }
                }
                let mut turn = $turn;
                (0..WARM_UP_TURNS).for_each(|_| turn.turn());
                $name(&mut turn);
                println!("{} {REQUESTS}", stringify!($name));
            })*
        }
    };
}

/// A line about the key.
fn line(verb: &str, rest: &str) -> Vec<u8> {
    format!("{verb} {KEY}{rest}\r\n").into_bytes()
}

scenarios! {
    get_hit: 1 in turn(1, &set(KEY, 100), &line("get", ""));
    get_hit_of_64_clients: 64 in turn(64, &set(KEY, 100), &line("get", ""));
    get_hit_16_kib: 1 in turn(1, &set(KEY, 16 << 10), &line("get", ""));
    get_miss: 1 in turn(1, b"", &line("get", ""));
    multi_get_per_key: 100 in turn(1, &set(KEY, 100), multi_get(100).as_bytes());
    set_100_b: 1 in turn(1, b"", &set(KEY, 100));
    set_4_kib: 1 in turn(1, b"", &set(KEY, 4 << 10));
    delete_with_sibling: 1 in turn(1, &set(KEY, 100), &line("delete", ""));
    mg_hit: 1 in turn(1, &set(KEY, 100), &line("mg", " v"));
    ms_100_b: 1 in turn(1, b"", &store(&format!("ms {KEY} 100 F1"), &pickle(100)));
    md_with_sibling: 1 in turn(1, &set(KEY, 100), &line("md", ""));
}
