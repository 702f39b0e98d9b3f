//! The form that is signed, against python-securesystemslib and go-securesystemslib, on values
//! that a seeded generator makes of awkward text: decomposed letters, control characters,
//! `<>&`, U+2028, letters beyond the BMP, keys that sort differently in UTF-16.
//!
//! `FLEETPACK_SEED=N` tries other values; a failure names the seed.

use fleetpack::tuf::json;
use libtest_mimic::Trial;
use serde_json::{Map, Value};

use crate::harness::{Scratch, tools, trial, trial_needing};

const VALUES: usize = 400;

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![
        trial_needing("canonical_form/python", &["python-tuf"], || {
            same_as("python-securesystemslib", |scratch| {
                scratch
                    .python("canonical.py", ["values"])
                    .ok()
                    .text()
                    .to_owned()
            });
        }),
        trial_needing("canonical_form/go", &["go"], || {
            same_as("go-securesystemslib", |scratch| {
                let program = tools::go_program("go-tuf");
                let ran = scratch.program(&program, ["canonical", "values"]).ok();
                ran.text().to_owned()
            });
        }),
        trial("canonical_form/written_and_read", written_and_read),
    ]
}

fn seed() -> u64 {
    let given = std::env::var("FLEETPACK_SEED");
    given.map_or(1, |text| text.parse().expect("FLEETPACK_SEED is a number"))
}

fn same_as(who: &str, forms: impl FnOnce(&Scratch) -> String) {
    let seed = seed();
    let mut random = Random(seed);
    let values: Vec<Value> = (0..VALUES).map(|_| random.value(3)).collect();
    let scratch = Scratch::new();
    let lines: Vec<String> = values.iter().map(Value::to_string).collect();
    scratch.write("values", lines.join("\n") + "\n");
    let theirs = forms(&scratch);
    assert_eq!(theirs.lines().count(), VALUES, "{who}, seed {seed}");
    for ((value, line), form) in values.iter().zip(&lines).zip(theirs.lines()) {
        let read = json::parse(line.as_bytes()).unwrap();
        assert_eq!(&read, value, "seed {seed}");
        let ours = hex::encode(json::canonical(&read).unwrap());
        assert_eq!(ours, form, "{who} differs, seed {seed}, for {line}");
    }
}

// What is published is read as what was meant, and signed alike.
fn written_and_read() {
    let seed = seed();
    let mut random = Random(seed);
    for _ in 0..VALUES {
        let value = random.value(4);
        let published = json::published(&value).unwrap();
        let again = json::parse(&published).unwrap();
        assert_eq!(again, value, "seed {seed}");
        assert_eq!(
            json::canonical(&again).unwrap(),
            json::canonical(&value).unwrap(),
            "seed {seed}"
        );
    }
}

// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn text(&mut self) -> String {
        const PIECES: [&str; 24] = [
            "a",
            "Z",
            "_",
            " ",
            "\"",
            "\\",
            "/",
            "<",
            ">",
            "&",
            "\u{2028}",
            "\u{2029}",
            "\n",
            "\0",
            "\u{1f}",
            "\u{7f}",
            "é",
            "e\u{301}",
            "\u{212b}",
            "\u{ffff}",
            "\u{10000}",
            "😀",
            "ß",
            "\u{feff}",
        ];
        let count = self.below(6);
        (0..count)
            .map(|_| PIECES[self.below(PIECES.len())])
            .collect()
    }

    fn value(&mut self, depth: usize) -> Value {
        let kinds = if depth == 0 { 5 } else { 7 };
        match self.below(kinds) {
            0 => Value::Null,
            1 => Value::Bool(self.below(2) == 1),
            2 => Value::from(self.next() as i64 >> self.below(64)),
            3 | 4 => Value::String(self.text()),
            5 => {
                let count = self.below(4);
                Value::Array((0..count).map(|_| self.value(depth - 1)).collect())
            }
            _ => {
                let count = self.below(5);
                let entries = (0..count).map(|_| (self.text(), self.value(depth - 1)));
                Value::Object(entries.collect::<Map<_, _>>())
            }
        }
    }
}
