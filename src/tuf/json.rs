//! JSON as TUF needs it: a strict reader and two writers.
//!
//! The reader refuses what two parsers could read differently: a key given twice in one
//! object, and nesting deeper than [`MAX_DEPTH`]. [`canonical`] writes the form that is signed
//! (OLPC canonical JSON, <http://wiki.laptop.org/go/Canonical_JSON>): object keys in byte
//! order, no blanks, only `"` and `\` escaped, integers alone, text as it is and not
//! normalised. [`published`] writes documents as Go's encoder does, because agents re-encode
//! what they keep and compare its hash with the published one.

use std::fmt;
use std::io;

use serde::Serialize;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// How deep arrays and objects may nest.
pub const MAX_DEPTH: usize = 64;

/// Text that is no JSON for TUF.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// Not JSON, a repeated key, too deep.
    #[error("it is not valid JSON")]
    Syntax(#[source] serde_json::Error),
    /// The canonical form has integers only.
    #[error("the number {0} has no canonical form: only integers can be signed")]
    Number(String),
    /// A value could not be written.
    #[error("it cannot be written as JSON")]
    Write(#[source] serde_json::Error),
}

/// Reads one JSON value that fills all of `bytes`.
pub fn parse(bytes: &[u8]) -> Result<Value, JsonError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: 0 }
        .deserialize(&mut reader)
        .map_err(JsonError::Syntax)?;
    reader.end().map_err(JsonError::Syntax)?;
    Ok(value)
}

struct Strict {
    depth: usize,
}

impl Strict {
    fn deeper<E: de::Error>(&self) -> Result<Strict, E> {
        match self.depth < MAX_DEPTH {
            true => Ok(Strict {
                depth: self.depth + 1,
            }),
            false => Err(E::custom(format!("nested deeper than {MAX_DEPTH} levels"))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("a number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(self.deeper()?)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = map.next_value_seed(self.deeper()?)?;
            if object.contains_key(&key) {
                return Err(de::Error::custom(format!("the key {key:?} is given twice")));
            }
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

/// Writes the form that is signed.
pub fn canonical(value: &Value) -> Result<Vec<u8>, JsonError> {
    let mut out = Vec::new();
    write_canonical(value, &mut out)?;
    Ok(out)
}

fn write_canonical(value: &Value, out: &mut Vec<u8>) -> Result<(), JsonError> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) if number.is_f64() => {
            return Err(JsonError::Number(number.to_string()));
        }
        Value::Number(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::String(text) => write_canonical_text(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_canonical(item, out)?;
            }
            out.push(b']');
        }
        Value::Object(object) => {
            let mut entries: Vec<_> = object.iter().collect();
            entries.sort_unstable_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
            out.push(b'{');
            for (i, (key, value)) in entries.into_iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_canonical_text(key, out);
                out.push(b':');
                write_canonical(value, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn write_canonical_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in text.as_bytes() {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

/// Writes a document as it is published: compact, in the order of its fields, without a
/// final newline.
pub fn published(document: &impl Serialize) -> Result<Vec<u8>, JsonError> {
    let mut out = Vec::new();
    let mut writer = serde_json::Serializer::with_formatter(&mut out, AsGo);
    document.serialize(&mut writer).map_err(JsonError::Write)?;
    Ok(out)
}

// go-tuf 0.5.2: Go's encoder escapes these five beyond what JSON asks.
struct AsGo;

impl serde_json::ser::Formatter for AsGo {
    fn write_string_fragment<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            let (plain, special) = rest.split_at(at);
            writer.write_all(plain.as_bytes())?;
            let mut letters = special.chars();
            if let Some(letter) = letters.next() {
                write!(writer, "\\u{:04x}", letter as u32)?;
            }
            rest = letters.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_form() {
        let cases = [
            ("sorted keys", r#"{"b":1,"a":2}"#, r#"{"a":2,"b":1}"#),
            ("blanks", " { \"a\" : [ 1 , 2 ] } ", r#"{"a":[1,2]}"#),
            (
                "byte order",
                r#"{"é":1,"z":2,"Z":3}"#,
                r#"{"Z":3,"z":2,"é":1}"#,
            ),
            (
                "beyond the BMP",
                r#"{"𐀀":1,"\uffff":2}"#,
                "{\"\u{ffff}\":2,\"𐀀\":1}",
            ),
            (
                "escapes",
                r#""a\"b\\c\n\u0001\/<""#,
                "\"a\\\"b\\\\c\n\u{1}/<\"",
            ),
            ("not normalised", "\"e\u{301}\"", "\"e\u{301}\""),
            (
                "numbers",
                "[0,-1,18446744073709551615]",
                "[0,-1,18446744073709551615]",
            ),
            ("words", "[true,false,null]", "[true,false,null]"),
            ("empty", "[{},[]]", "[{},[]]"),
        ];
        for (name, text, expected) in cases {
            let out = canonical(&parse(text.as_bytes()).unwrap()).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{name}");
        }
    }

    #[test]
    fn refused() {
        let deep = "[".repeat(MAX_DEPTH + 2) + &"]".repeat(MAX_DEPTH + 2);
        let very_deep = "[".repeat(100_000);
        let cases = [
            ("twice", r#"{"a":1,"a":1}"#),
            ("twice by escape", r#"{"a":1,"\u0061":1}"#),
            ("deep", deep.as_str()),
            ("very deep", very_deep.as_str()),
            ("two values", "{} {}"),
            ("cut off", r#"{"a":"#),
            ("lone surrogate", r#""\ud800""#),
            ("empty", ""),
        ];
        for (name, text) in cases {
            assert!(parse(text.as_bytes()).is_err(), "{name}");
        }
        assert!(parse(b"\"\xff\"").is_err(), "not UTF-8");
    }

    #[test]
    fn fractions_have_no_canonical_form() {
        for text in ["1.5", "1.0", "1e3", "18446744073709551616"] {
            let value = parse(text.as_bytes()).unwrap();
            assert!(
                matches!(canonical(&value), Err(JsonError::Number(_))),
                "{text}"
            );
        }
    }

    #[test]
    fn published_as_go() {
        let cases = [
            (r#"{"b": 1, "a": 2}"#, r#"{"b":1,"a":2}"#),
            (
                r#""<&>\u2028\u2029é""#,
                r#""\u003c\u0026\u003e\u2028\u2029é""#,
            ),
            (r#""\"\\\n\u0001/""#, r#""\"\\\n\u0001/""#),
        ];
        for (text, expected) in cases {
            let out = published(&parse(text.as_bytes()).unwrap()).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
