//! An administrator's script inside a maintainer script.
//!
//! It travels as a here-document and is run by the interpreter of its own `#!` line, which
//! may be any: shell, Python, Perl. The maintainer script tells whose script failed.

use serde::Serialize;

use crate::install::AdminScript;
use crate::package::{BuildError, Format};
use crate::templates;

#[derive(Serialize)]
struct Call<'a> {
    name: &'a str,
    interpreter: Vec<&'a str>,
    end: String,
    body: &'a str,
}

/// The shell command that runs `script`, as the body of a function.
pub fn call(script: &AdminScript, format: Format) -> Result<String, BuildError> {
    let unfit = |what: &str| BuildError::Unfit {
        format,
        what: format!("the script {}: {what}", script.name),
    };
    let body =
        std::str::from_utf8(script.body.bytes()).map_err(|_| unfit("it is not text in UTF-8"))?;
    if body.contains('\0') {
        return Err(unfit("it contains a NUL character"));
    }
    let interpreter = interpreter(body).ok_or_else(|| unfit("it does not begin with `#!`"))?;
    Ok(templates::render(
        "linux/administrator",
        &Call {
            name: &script.name,
            interpreter,
            end: end_of(body),
            body,
        },
    )?)
}

/// The interpreter of a `#!` line and its argument: Linux passes all that follows the first
/// blank as one (execve(2)).
fn interpreter(body: &str) -> Option<Vec<&str>> {
    let line = body.strip_prefix("#!")?.lines().next()?.trim();
    match line.split_once([' ', '\t']) {
        _ if line.is_empty() => None,
        None => Some(vec![line]),
        Some((program, argument)) => Some(vec![program, argument.trim_start()]),
    }
}

/// A here-document's end mark that is no line of `body`.
fn end_of(body: &str) -> String {
    let mut end = "END_OF_ADMINISTRATORS_SCRIPT".to_owned();
    while body.lines().any(|line| line == end) {
        end.push('_');
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpreters() {
        let cases: &[(&str, &str, Option<&[&str]>)] = &[
            ("plain", "#!/bin/sh\n:", Some(&["/bin/sh"])),
            ("one argument", "#!/bin/sh -e\n", Some(&["/bin/sh", "-e"])),
            (
                "blanks",
                "#! /usr/bin/env  -S bash -e \n",
                Some(&["/usr/bin/env", "-S bash -e"]),
            ),
            ("Windows line ends", "#!/bin/sh\r\n", Some(&["/bin/sh"])),
            ("none", "echo\n", None),
            ("empty", "#!\necho", None),
            ("late", "\n#!/bin/sh", None),
        ];
        for (name, body, expected) in cases {
            assert_eq!(interpreter(body).as_deref(), *expected, "{name}");
        }
    }

    #[test]
    fn the_end_mark_is_no_line_of_the_script() {
        let body = format!("{}\n", end_of(""));
        assert_ne!(end_of(&body), end_of(""));
        assert!(!body.lines().any(|line| line == end_of(&body)));
    }
}
