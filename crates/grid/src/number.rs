//! A number out of a message: a plain number, or a value inside JSON, scaled. It never knows which
//! signal it is for.

use crate::BadSetting;
use serde_json::Value;

/// Longer messages are refused.
pub const LONGEST: usize = 1 << 20;

/// Where in a JSON text a value stands: `result.data.0.price`, or a JSON pointer (RFC 6901) such as
/// `/result/data/0/price` where keys have dots in them. Empty is the whole text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Path(String);

impl Path {
    /// Reads either form.
    pub fn new(text: &str) -> Self {
        let text = text.trim();
        match text.strip_prefix("$.").unwrap_or(text) {
            "" | "$" => Self::default(),
            pointer if pointer.starts_with('/') => Self(pointer.to_owned()),
            dotted => Self(format!("/{}", dotted.replace('.', "/"))),
        }
    }

    /// The value there.
    pub fn find<'a>(&self, json: &'a Value) -> Option<&'a Value> {
        json.pointer(&self.0)
    }

    /// As a JSON pointer.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How a number is taken out of a message: `raw × scale + offset`. A negative scale turns the sign.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Where it stands in JSON; without, the message is the number, or one JSON value.
    pub path: Option<Path>,
    /// What the raw number is multiplied by.
    pub scale: f64,
    /// What is added after that.
    pub offset: f64,
}

impl Default for Field {
    fn default() -> Self {
        Self { path: None, scale: 1.0, offset: 0.0 }
    }
}

impl Field {
    /// Refuses a scale of nothing, NaN and infinities.
    pub fn new(path: Option<Path>, scale: f64, offset: f64) -> Result<Self, BadSetting> {
        BadSetting::unless(scale.is_finite() && scale != 0.0 && offset.is_finite(), || {
            format!("a scale of {scale} and an offset of {offset} make no number: write scale = 1")
        })?;
        Ok(Self { path, scale, offset })
    }

    /// The number in a message, or why there is none.
    pub fn read(&self, message: &[u8]) -> Result<f64, BadSetting> {
        let raw = match &self.path {
            None => {
                let text = short_text(message)?.trim();
                match raw(text) {
                    Some(number) => number,
                    None => number_of(&json(message)?)?,
                }
            }
            Some(path) => {
                let json = json(message)?;
                let value = path.find(&json).ok_or_else(|| {
                    BadSetting(format!("there is nothing at {} in the message", path.as_str()))
                })?;
                number_of(value)?
            }
        };
        self.scaled(raw)
    }

    /// A raw number as it is meant.
    pub fn scaled(&self, raw: f64) -> Result<f64, BadSetting> {
        let value = raw * self.scale + self.offset;
        BadSetting::unless(value.is_finite(), || format!("{raw} is not a usable number"))?;
        Ok(value)
    }
}

/// The message as JSON, if it is not too long.
pub fn json(message: &[u8]) -> Result<Value, BadSetting> {
    BadSetting::unless(message.len() <= LONGEST, || too_long(message))?;
    serde_json::from_slice(message)
        .map_err(|error| BadSetting(format!("the message is neither a number nor JSON: {error}")))
}

/// The number of a JSON value: a number, a text that is one, yes or no.
pub fn number_of(value: &Value) -> Result<f64, BadSetting> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::Bool(yes) => Some(f64::from(u8::from(*yes))),
        Value::String(text) => raw(text.trim()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    number.ok_or_else(|| {
        let kind = match value {
            Value::Null => "null: the source does not know it",
            Value::Array(_) => "a list: the path must name one value in it",
            Value::Object(_) => "an object: the path must name one value in it",
            _ => "no number",
        };
        BadSetting(format!("the value is {kind}"))
    })
}

fn raw(text: &str) -> Option<f64> {
    let is_one_of = |words: [&str; 4]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is_one_of(["on", "true", "yes", "closed"]) {
        return Some(1.0);
    }
    if is_one_of(["off", "false", "no", "open"]) {
        return Some(0.0);
    }
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

fn short_text(message: &[u8]) -> Result<&str, BadSetting> {
    BadSetting::unless(message.len() <= LONGEST, || too_long(message))?;
    std::str::from_utf8(message).map_err(|_| BadSetting("the message is not UTF-8".into()))
}

fn too_long(message: &[u8]) -> String {
    format!("the message has {} bytes: at most {LONGEST} are read", message.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_read_plain_or_at_a_path_with_scale_and_sign() {
        let cases = [
            (None, 1.0, "21.5", Some(21.5)),
            (None, -1.0, " 1500\n", Some(-1500.0)),
            (None, 1.0, "{\"value\":3}", None),
            (Some("value"), 1.0, "{\"value\":3}", Some(3.0)),
            (Some("value"), 1.0, "{\"value\":null}", None),
            (Some("a.0.b"), 1000.0, "{\"a\":[{\"b\":\"-2.5\"}]}", Some(-2500.0)),
            (Some("/a.b/0"), 1.0, "{\"a.b\":[7]}", Some(7.0)),
            (Some("$.x"), 1.0, "{\"x\":true}", Some(1.0)),
            (None, 1.0, "ON", Some(1.0)),
            (None, 1.0, "off", Some(0.0)),
            (None, 1.0, "\"12\"", Some(12.0)),
            (None, 1.0, "NaN", None),
            (None, 1.0, "1e999", None),
            (None, 1e300, "1e300", None),
            (None, 1.0, "", None),
        ];
        for (path, scale, message, expected) in cases {
            let field = Field::new(path.map(Path::new), scale, 0.0).unwrap();
            assert_eq!(field.read(message.as_bytes()).ok(), expected, "{message} at {path:?}");
        }
        assert!(Field::new(None, 0.0, 0.0).is_err() && Field::new(None, f64::NAN, 0.0).is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_sent_the_number_is_finite_or_refused(
            message in proptest::collection::vec(any::<u8>(), 0..200),
            scale in -1e9..1e9f64,
        ) {
            prop_assume!(scale != 0.0);
            for path in [None, Some(Path::new("a.0"))] {
                if let Ok(number) = Field::new(path, scale, 1.0).unwrap().read(&message) {
                    prop_assert!(number.is_finite());
                }
            }
        }
    }
}
