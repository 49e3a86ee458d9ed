//! Finds the parts of one line of JSON without building anything: whatever the spacing and the
//! order of keys. It checks only what it needs; a line that is no JSON gives parts or nothing, but
//! never a panic and never more than one pass.

/// The parts of a JSON-RPC message, each as the bytes of its value.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) struct Message<'a> {
    pub id: Option<&'a [u8]>,
    /// Without its quotes.
    pub method: Option<&'a [u8]>,
    pub result: Option<&'a [u8]>,
    pub error: Option<&'a [u8]>,
    pub params: Option<&'a [u8]>,
}

/// Reads the top level of an object; `None` if the line is none.
pub(super) fn message(line: &[u8]) -> Option<Message<'_>> {
    let mut found = Message::default();
    let mut at = blank(line, 0);
    if line.get(at) != Some(&b'{') {
        return None;
    }
    at = blank(line, at + 1);
    while line.get(at) == Some(&b'"') {
        let end = value_end(line, at)?;
        let key = unquoted(&line[at..end])?;
        at = blank(line, end);
        if line.get(at) != Some(&b':') {
            return None;
        }
        at = blank(line, at + 1);
        let end = value_end(line, at)?;
        let value = &line[at..end];
        match key {
            b"id" => found.id = Some(value),
            b"method" => found.method = unquoted(value),
            b"result" => found.result = Some(value),
            b"error" => found.error = Some(value),
            b"params" => found.params = Some(value),
            _ => {}
        }
        at = blank(line, end);
        if line.get(at) == Some(&b',') {
            at = blank(line, at + 1);
        }
    }
    (line.get(at) == Some(&b'}')).then_some(found)
}

/// The elements of an array, each as its bytes; nothing if it is no array.
pub(super) fn elements(array: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut at = match array.first() {
        Some(b'[') => blank(array, 1),
        _ => array.len(),
    };
    std::iter::from_fn(move || {
        if matches!(array.get(at), None | Some(b']')) {
            return None;
        }
        let end = value_end(array, at)?;
        let value = &array[at..end];
        at = blank(array, end);
        if array.get(at) == Some(&b',') {
            at = blank(array, at + 1);
        }
        Some(value)
    })
}

/// An id as a number, even if the server made a text of it.
pub(super) fn number(value: &[u8]) -> Option<u64> {
    let digits = unquoted(value).unwrap_or(value);
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn unquoted(value: &[u8]) -> Option<&[u8]> {
    value.strip_prefix(b"\"")?.strip_suffix(b"\"")
}

fn blank(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    at
}

/// Where the value that starts at `at` ends; `None` if it does not end or there is none.
fn value_end(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at)? {
        b'"' => string_end(bytes, at),
        b'[' | b'{' => {
            let mut depth = 0usize;
            let mut at = at;
            loop {
                match bytes.get(at)? {
                    b'"' => {
                        at = string_end(bytes, at)?;
                        continue;
                    }
                    b'[' | b'{' => depth += 1,
                    b']' | b'}' => depth -= 1,
                    _ => {}
                }
                at += 1;
                if depth == 0 {
                    return Some(at);
                }
            }
        }
        _ => {
            let length = bytes[at..].iter().position(|b| {
                matches!(b, b',' | b']' | b'}' | b':' | b'"' | b'[' | b'{')
                    || b.is_ascii_whitespace()
            });
            let end = length.map_or(bytes.len(), |length| at + length);
            (end > at).then_some(end)
        }
    }
}

fn string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng, rngs::StdRng};
    use serde_json::{Value, json};

    #[test]
    fn parts_are_found_in_any_order_and_spacing() {
        let want = Message {
            id: Some(b"12"),
            result: Some(b"true"),
            error: Some(b"null"),
            ..Message::default()
        };
        for line in [
            r#"{"id":12,"result":true,"error":null}"#,
            r#"{"id": 12, "error": null, "result": true}"#,
            " {\t\"result\" : true ,\"error\" :null,\"id\": 12 }\r",
            r#"{"jsonrpc":"2.0","reject-reason":null,"x":{"id":[1,"}"]},"id":12,"result":true,"error":null}"#,
        ] {
            assert_eq!(message(line.as_bytes()), Some(want), "{line}");
        }
    }

    #[test]
    fn what_is_no_object_gives_nothing() {
        for line in [
            "",
            " ",
            "[]",
            "true",
            "{",
            "{\"id\"",
            "{\"id\":",
            "{\"id\":1",
            "{\"id\":\"1}",
            "{\"id\":\"\\",
            "{\"id\" 1}",
            "{id:1}",
            "{\"a\":[1}",
            "{\"a\":]}",
            "{\"a\":}",
            "\0\u{1}",
        ] {
            assert_eq!(message(line.as_bytes()), None, "{line}");
        }
        let deep = format!("{{\"a\":{}", "[".repeat(100_000));
        assert_eq!(message(deep.as_bytes()), None);
    }

    #[test]
    fn it_agrees_with_a_json_library_on_real_messages() {
        let notify = json!({"params": ["a\"]\\", "00", "", "", ["aa", "b,b"], "2", "3", "4", true],
                            "id": null, "method": "mining.notify"});
        for text in [notify.to_string(), serde_json::to_string_pretty(&notify).unwrap()] {
            let found = message(text.as_bytes()).unwrap();
            assert_eq!(found.method, Some(&b"mining.notify"[..]));
            let parts: Vec<Value> = elements(found.params.unwrap())
                .map(|part| serde_json::from_slice(part).unwrap())
                .collect();
            assert_eq!(Value::Array(parts), notify["params"]);
        }
        assert_eq!(elements(b"{}").count(), 0);
        assert_eq!(elements(b"[ ]").count(), 0);
    }

    #[test]
    fn broken_lines_never_panic() {
        let mut random = StdRng::seed_from_u64(7);
        let start = r#"{"id":1,"result":[["a\\","b"],{"c":null}],"error":null,"params":[1,[2]]}"#;
        for _ in 0..20_000 {
            let mut bytes = start.as_bytes().to_vec();
            for _ in 0..random.random_range(1..6) {
                let at = random.random_range(0..bytes.len());
                let symbols = b"{}[]\",:\\ x1\0";
                bytes[at] = symbols[random.random_range(0..symbols.len())];
            }
            bytes.truncate(random.random_range(0..=bytes.len()));
            if let Some(found) = message(&bytes) {
                elements(found.params.unwrap_or_default()).count();
            }
            elements(&bytes).count();
        }
    }

    #[test]
    fn ids_are_numbers_even_in_quotes() {
        for (text, want) in [
            ("7", Some(7)),
            ("\"7\"", Some(7)),
            ("null", None),
            ("-7", None),
            ("7.0", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(number(text.as_bytes()), want);
        }
    }
}
