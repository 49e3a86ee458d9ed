//! Stratum V1 lines: what a miner says, borrowed from the read buffer, and what it is answered.
//!
//! The scanner only finds where values begin and end, and is stricter than it must be nowhere:
//! firmware in the field writes JSON by hand. It never allocates and never recurses.

use crate::reject::Reject;

/// A request: its id as raw JSON (absent or `null` is `null`), its method, its params as raw JSON.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub struct Request<'a> {
    /// Raw JSON of the id, to be echoed verbatim.
    pub id: &'a str,
    /// Whether the line had an id; without one no answer is expected.
    pub has_id: bool,
    /// The method's name; empty for an answer to something we asked.
    pub method: &'a str,
    /// Raw JSON of the params; `[]` when absent.
    pub params: &'a str,
}

impl<'a> Request<'a> {
    /// Reads one line, keys in any order, white space anywhere. `None` for what is no JSON object.
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(line).ok()?;
        let mut scan = Scan { bytes: line, at: 0 };
        scan.expect(b'{')?;
        let mut request = Self { id: "null", has_id: false, method: "", params: "[]" };
        if scan.peek()? == b'}' {
            return Some(request);
        }
        loop {
            let key = scan.value()?;
            scan.expect(b':')?;
            let (start, end) = scan.value()?;
            let value = &text[start..end];
            match &line[key.0..key.1] {
                b"\"id\"" => (request.id, request.has_id) = (value, true),
                b"\"method\"" => request.method = value.strip_prefix('"')?.strip_suffix('"')?,
                b"\"params\"" => request.params = value,
                _ => {}
            }
            match scan.next()? {
                b',' => {}
                b'}' => break,
                _ => return None,
            }
        }
        // The id goes back out: it must be JSON, and short enough not to be a way to make us talk.
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'"' | b'-' | b'.' | b'_');
        let sound = request.id.len() <= 64
            && ((request.id.bytes().all(plain) && is_plain_id(request.id))
                || serde_json::from_str::<serde::de::IgnoredAny>(request.id).is_ok());
        sound.then_some(request)
    }

    /// The params as JSON values; none for what is no array.
    pub(crate) fn values(&self) -> Vec<serde_json::Value> {
        serde_json::from_str(self.params).unwrap_or_default()
    }
}

/// An id such as `17`, `null` or `"a-1"`, for which no JSON parser needs to be asked.
fn is_plain_id(id: &str) -> bool {
    let inner = id.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match inner {
        Some(inner) => id.len() >= 2 && !inner.contains('"'),
        None => {
            id == "null"
                || (id.bytes().all(|b| b.is_ascii_digit()) && (id == "0" || !id.starts_with('0')))
        }
    }
}

/// A `mining.submit`, its numbers read and its texts still where they arrived.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub struct Submit<'a> {
    /// User name; may differ from the authorized one.
    pub user: &'a str,
    /// Number of the job, from the job id without its last two digits.
    pub job: u32,
    /// Generation of the session's difficulty, from the job id's last two digits.
    pub generation: u8,
    /// The extranonce2's bytes, in the first `extranonce2_size`.
    pub extranonce2: [u8; 8],
    /// How many bytes it has.
    pub extranonce2_size: u8,
    /// Header time, seconds since 1970.
    pub time: u32,
    /// Header nonce.
    pub nonce: u32,
    /// Version bits, when the sixth parameter is there.
    pub version_bits: Option<u32>,
}

impl<'a> Submit<'a> {
    /// Reads the params of a `mining.submit`.
    pub fn parse(params: &'a str) -> Result<Self, Reject> {
        let bytes = params.as_bytes();
        let mut scan = Scan { bytes, at: 0 };
        let mut fields = [""; 6];
        let mut count = 0;
        scan.expect(b'[').ok_or(Reject::Malformed)?;
        loop {
            let (start, end) = scan.value().ok_or(Reject::Malformed)?;
            if let Some(field) = fields.get_mut(count) {
                *field = &params[start..end];
            }
            count += 1;
            match scan.next() {
                Some(b',') => {}
                Some(b']') => break,
                _ => return Err(Reject::Malformed),
            }
        }
        if count < 5 {
            return Err(Reject::Malformed);
        }
        let [user, job, extranonce2, time, nonce, version] = fields;
        let user = unquoted(user).unwrap_or("");
        let (job, generation) = job_id(unquoted(job).unwrap_or(job)).ok_or(Reject::UnknownJob)?;
        let hex = unquoted(extranonce2).ok_or(Reject::Extranonce2)?;
        let mut extranonce2 = [0; 8];
        let size = hex.len() / 2;
        let room = extranonce2.get_mut(..size).ok_or(Reject::Extranonce2)?;
        const_hex::decode_to_slice(hex, room).map_err(|_| Reject::Extranonce2)?;
        let version_bits = match version {
            "" | "null" | "\"\"" => None,
            text => Some(number(text).ok_or(Reject::Malformed)?),
        };
        Ok(Self {
            user,
            job,
            generation,
            extranonce2,
            extranonce2_size: size as u8,
            time: number(time).ok_or(Reject::Malformed)?,
            nonce: number(nonce).ok_or(Reject::Malformed)?,
            version_bits,
        })
    }
}

/// A job id as we gave it out: the number in hex, then two hex digits of generation.
fn job_id(text: &str) -> Option<(u32, u8)> {
    let cut = text.len().checked_sub(2)?;
    let (number, generation) = (text.get(..cut)?, text.get(cut..)?);
    Some((hex_u32(number)?, hex_u32(generation)? as u8))
}

/// A 32-bit number: hex in quotes as the protocol has it, or a JSON number as some firmware sends.
fn number(raw: &str) -> Option<u32> {
    match unquoted(raw) {
        Some(hex) => hex_u32(hex),
        None => raw.parse().ok(),
    }
}

fn hex_u32(text: &str) -> Option<u32> {
    if text.is_empty() || text.len() > 8 {
        return None;
    }
    text.bytes().try_fold(0u32, |sum, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            b'A'..=b'F' => digit - b'A' + 10,
            _ => return None,
        };
        Some(sum << 4 | u32::from(value))
    })
}

fn unquoted(raw: &str) -> Option<&str> {
    raw.strip_prefix('"')?.strip_suffix('"')
}

/// Finds where JSON values begin and end.
struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    /// The next byte that is no white space, not taken.
    fn peek(&mut self) -> Option<u8> {
        while self.bytes.get(self.at)?.is_ascii_whitespace() {
            self.at += 1;
        }
        Some(self.bytes[self.at])
    }

    /// The next byte that is no white space.
    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn expect(&mut self, wanted: u8) -> Option<()> {
        (self.next()? == wanted).then_some(())
    }

    /// Start and end of the next value.
    fn value(&mut self) -> Option<(usize, usize)> {
        let first = self.peek()?;
        let start = self.at;
        match first {
            b'"' => self.string()?,
            b'[' | b'{' => {
                let mut depth = 0usize;
                loop {
                    match *self.bytes.get(self.at)? {
                        b'"' => {
                            self.string()?;
                            continue;
                        }
                        b'[' | b'{' => depth += 1,
                        b']' | b'}' => depth -= 1,
                        _ => {}
                    }
                    self.at += 1;
                    if depth == 0 {
                        break;
                    }
                }
            }
            _ => {
                let ends = |b: &u8| matches!(b, b',' | b']' | b'}' | b':' | b'"');
                let rest = &self.bytes[self.at..];
                let size = rest.iter().position(|b| ends(b) || b.is_ascii_whitespace());
                self.at += size.unwrap_or(rest.len());
                if self.at == start {
                    return None;
                }
            }
        }
        Some((start, self.at))
    }

    /// Moves past the string that begins here.
    fn string(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            match *self.bytes.get(self.at)? {
                b'"' => {
                    self.at += 1;
                    return Some(());
                }
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
    }
}

/// Appends `{"id":…,"result":…,"error":null}`.
pub(crate) fn result(out: &mut Vec<u8>, id: &str, result: &str) {
    for part in ["{\"id\":", id, ",\"result\":", result, ",\"error\":null}\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Appends an error answer, with `result:null` as firmware expects of a reject. The message is one
/// of ours and is escaped.
pub(crate) fn error(out: &mut Vec<u8>, id: &str, code: i32, message: &str) {
    let message = serde_json::Value::from(message).to_string();
    let code = code.to_string();
    for part in ["{\"id\":", id, ",\"result\":null,\"error\":[", &code, ",", &message, ",null]}\n"]
    {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Appends a message that wants no answer; `params` is raw JSON between the brackets.
pub(crate) fn notification(out: &mut Vec<u8>, method: &str, params: &str) {
    for part in ["{\"id\":null,\"method\":\"", method, "\",\"params\":[", params, "]}\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}
