//! The scan takes what picklers write, and nothing that is cut or spoilt.

use picklegate::pickle::{Extensions, Flaw, Scanner};

use crate::matrix::MATRIX;

#[test]
fn every_pickle_of_the_record_is_understood_whole() {
    let mut scanner = Scanner::default();
    for row in &MATRIX.rows {
        let scan = scanner.scan(&row.pickle, Extensions::NONE);
        let scan = scan.unwrap_or_else(|broken| {
            panic!("{}: {broken}", MATRIX.cases[row.productions[0].0]);
        });
        assert_eq!(scan.trailing(), 0);
        assert!(scan.effective_protocol() <= scan.declared_protocol().max(1));
    }
}

#[test]
fn a_pickle_cut_anywhere_is_broken() {
    let mut scanner = Scanner::default();
    for row in MATRIX
        .rows
        .iter()
        .step_by(29)
        .filter(|row| row.pickle.len() < 2_000)
    {
        for len in 0..row.pickle.len() {
            let broken = scanner
                .scan(&row.pickle[..len], Extensions::NONE)
                .unwrap_err();
            assert!(
                matches!(broken.flaw, Flaw::NoStop | Flaw::Truncated | Flaw::Length),
                "{broken}"
            );
        }
    }
}
