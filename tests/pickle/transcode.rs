//! Every recorded pickle, rewritten for the readers that it was not written for.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use picklegate::pickle::transcode::{
    Form, Obstacle, Py2Str, Refusal, Transcoder, UnknownEnvironment,
};
use picklegate::pickle::{Extensions, Scanner};

use crate::matrix::{MATRIX, Row};

const TEXT: Form = Form::Python3 {
    py2_str: Py2Str::Text,
};
const BYTES: Form = Form::Python3 {
    py2_str: Py2Str::Bytes,
};

/// Longest result per form, as a multiple of the pickle: what this corpus was
/// measured to need, rounded up. The guaranteed bound is wider.
const MEASURED: f64 = 4.0;

fn written_by(row: &Row, major: &str) -> bool {
    let mut writers = row.productions.iter().map(|(_, w)| &MATRIX.writers[*w]);
    writers.any(|writer| writer.starts_with(major))
}

/// Pickles and their results.
type Done = Vec<(&'static Row, Vec<u8>)>;

/// All that is rewritten, and how often it was refused why.
fn rewrite(form: Form, major: &str) -> (Done, BTreeMap<String, usize>) {
    let mut transcoder = Transcoder::default();
    let mut refused = BTreeMap::new();
    let mut done = Vec::new();
    for row in MATRIX.rows.iter().filter(|row| written_by(row, major)) {
        let mut out = Vec::new();
        match transcoder.transcode(&row.pickle, form, &UnknownEnvironment, &mut out) {
            Ok(()) => done.push((row, out)),
            Err(Refusal::NoForm { obstacle, .. }) => {
                assert!(out.is_empty());
                *refused.entry(obstacle.to_string()).or_default() += 1;
            }
            Err(broken) => panic!("{}: {broken}", MATRIX.cases[row.productions[0].0]),
        }
    }
    let sizes: (usize, usize) = done.iter().fold((0, 0), |(before, after), (row, out)| {
        (before + row.pickle.len(), after + out.len())
    });
    println!(
        "{form:?}: {} rewritten, {} bytes become {}; refused: {refused:?}",
        done.len(),
        sizes.0,
        sizes.1
    );
    (done, refused)
}

/// Claims on the results of any form.
fn check(form: Form, done: &[(&Row, Vec<u8>)], highest: u8) {
    let mut scanner = Scanner::default();
    let mut again = (Transcoder::default(), Vec::new());
    for (row, out) in done {
        let case = &MATRIX.cases[row.productions[0].0];
        let scan = scanner.scan(out, Extensions::NONE);
        let scan = scan.unwrap_or_else(|broken| panic!("{case}: {broken}"));
        assert_eq!(scan.trailing(), 0, "{case}");
        assert!(scan.declared_protocol() <= highest, "{case}");
        assert!(scan.effective_protocol() <= highest, "{case}");
        let ratio = (out.len() - 100.min(out.len())) as f64 / row.pickle.len() as f64;
        assert!(ratio <= MEASURED, "{case}: {ratio}");
        // What is in the reader's form stays so.
        let (transcoder, twice) = &mut again;
        let form = if let Form::Python3 { .. } = form {
            Form::Protocol5
        } else {
            form
        };
        let done = transcoder.transcode(out, form, &UnknownEnvironment, twice);
        done.unwrap_or_else(|refusal| panic!("{case}: {refusal}"));
        let scan = scanner.scan(twice, Extensions::NONE);
        assert!(scan.is_ok_and(|scan| scan.declared_protocol() <= highest));
    }
}

#[test]
fn pickles_of_python_3_become_pickles_of_python_2() {
    let (done, refused) = rewrite(Form::Python2, "3");
    check(Form::Python2, &done, 2);
    for (_, out) in &done {
        assert_eq!(out[..2], [0x80, 2]);
    }
    let total = refused.values().sum::<usize>();
    assert!(total <= 90, "{refused:?}");
}

#[test]
fn what_is_named_is_what_the_writer_itself_names_at_protocol_2() {
    let plain: HashMap<(usize, &str), &Row> = MATRIX
        .rows
        .iter()
        .flat_map(|row| row.productions.iter().map(move |&(case, w)| (case, w, row)))
        .filter_map(|(case, w, row)| {
            let python = MATRIX.writers[w].strip_suffix("/C/2")?;
            Some(((case, python), row))
        })
        .collect();
    let mut scanner = Scanner::default();
    // Bytes and keyword arguments come without calls, or by others.
    let means = ["encode", "bytes", "apply", "partial", "getattr"];
    let mut names = |pickle: &[u8]| -> BTreeSet<(String, String)> {
        let scan = scanner.scan(pickle, Extensions::NONE).expect("a pickle");
        let all = scan.globals().map(|global| {
            // What Python 2's Django and NumPy call the same.
            let name = global.name.replace("SafeString", "SafeText");
            (global.module.replace("numpy._core", "numpy.core"), name)
        });
        all.filter(|(_, name)| !means.contains(&&name[..]))
            .collect()
    };
    let (done, _) = rewrite(Form::Python2, "3");
    let (mut same, mut differ) = (0, BTreeMap::<&str, usize>::new());
    for (row, out) in &done {
        for &(case, w) in &row.productions {
            let (python, how) = MATRIX.writers[w].split_once('/').expect("Python/pickler");
            if !["C/3", "C/4", "C/5"].contains(&how) {
                continue;
            }
            let Some(plain) = plain.get(&(case, python)) else {
                continue;
            };
            if names(out) == names(&plain.pickle) {
                same += 1;
            } else {
                *differ.entry(&MATRIX.cases[case]).or_default() += 1;
            }
        }
    }
    let count: usize = differ.values().sum();
    println!("{same} the same, {count} not: {differ:?}");
    assert!(same > 20_000);
    assert!(count * 100 < same, "{differ:?}");
}

#[test]
fn pickles_of_protocol_5_become_pickles_of_protocol_4() {
    let (done, refused) = rewrite(Form::Protocol4, "3");
    check(Form::Protocol4, &done, 4);
    assert_eq!(refused.len(), 2, "only persistent ids and extension codes");
}

#[test]
fn pickles_of_python_2_become_pickles_of_python_3() {
    for form in [TEXT, BYTES] {
        let (done, refused) = rewrite(form, "2");
        check(form, &done, 3);
        for (_, out) in &done {
            assert_eq!(out[..2], [0x80, 3]);
        }
        let total = refused.values().sum::<usize>();
        assert!(total <= 20, "{refused:?}");
        let obstacle = Obstacle::SafeStringState.to_string();
        assert_eq!(refused.get(&obstacle), None);
    }
}
