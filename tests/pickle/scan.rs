//! The scan takes what picklers write, and nothing that is cut or spoilt.

use picklegate::pickle::{Extensions, Flaw, Scanner, Writer};

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
fn a_writer_that_is_told_is_who_wrote_it() {
    let mut scanner = Scanner::default();
    let mut told = [0, 0];
    for row in &MATRIX.rows {
        let scan = scanner.scan(&row.pickle, Extensions::NONE).unwrap();
        let (major, count) = match scan.writer() {
            Writer::Unknown => continue,
            Writer::Python2 => ("2", &mut told[0]),
            Writer::Python3 | Writer::Python34 | Writer::Python38 => ("3", &mut told[1]),
        };
        *count += 1;
        for &(case, writer) in &row.productions {
            let writer = &MATRIX.writers[writer];
            let case = &MATRIX.cases[case];
            assert!(
                writer.starts_with(major),
                "{case}: Python {major}, wrote {writer}"
            );
        }
    }
    assert!(told[0] > 500 && told[1] > 500, "{told:?}");
    // Python 3.7 and before: at protocol 0 all integers are LONG.
    let scan = scanner.scan(b"L1L\n.", Extensions::NONE).unwrap();
    assert_eq!(scan.writer(), Writer::Unknown);
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
