//! One blocking HTTP/1.1 request, as much of it as Bitcoin Core's JSON-RPC needs.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};

/// What came back.
pub struct Answer {
    /// Such as `200 OK`.
    pub status: String,
    /// All of it.
    pub body: Vec<u8>,
}

/// One HTTP/1.1 request on a connection of its own.
pub fn post(to: SocketAddr, cookie: &str, body: &str, timeout: Duration) -> io::Result<Answer> {
    let deadline = Instant::now() + timeout;
    let late = || io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
    let mut stream = TcpStream::connect_timeout(&to, timeout)?;
    stream.set_write_timeout(Some(timeout))?;
    let credentials = BASE64_STANDARD.encode(cookie);
    let request = format!(
        "POST / HTTP/1.1\r\nHost: {to}\r\nAuthorization: Basic {credentials}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes())?;

    let mut received = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        let left = deadline.checked_duration_since(Instant::now()).ok_or_else(late)?;
        stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        let count = match stream.read(&mut chunk) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(late()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        received.extend_from_slice(&chunk[..count]);
        if let Some(answer) = whole_answer(&received, count == 0)? {
            return Ok(answer);
        }
    }
}

/// The answer, once all of it is there.
fn whole_answer(received: &[u8], closed: bool) -> io::Result<Option<Answer>> {
    let wrong = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidData, what.to_owned()));
    let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") else {
        return if closed { wrong("the answer broke off") } else { Ok(None) };
    };
    let head = String::from_utf8_lossy(&received[..end]);
    let mut lines = head.lines();
    let Some(status) = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")) else {
        return wrong("the answer is not HTTP/1.1");
    };
    if status.starts_with("401") {
        return wrong("the node does not accept its own cookie");
    }
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok());
    let Some(length) = length else { return wrong("the answer has no length") };
    let body = &received[end + 4..];
    if body.len() >= length {
        return Ok(Some(Answer { status: status.to_owned(), body: body[..length].to_vec() }));
    }
    if closed { wrong("the answer broke off") } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was received, whether the node has closed, and the body expected.
    type Case = (&'static [u8], bool, Result<Option<&'static [u8]>, ()>);

    #[test]
    fn answers_are_taken_whole_or_not_at_all() {
        let cases: [Case; 7] = [
            (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", false, Ok(Some(b"{}"))),
            (b"HTTP/1.1 500 No\r\ncontent-length:2\r\n\r\n{}", true, Ok(Some(b"{}"))),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}", false, Ok(None)),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}", true, Err(())),
            (b"HTTP/1.1 200 OK\r\n\r\n{}", true, Err(())),
            (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", true, Err(())),
            (b"SSH-2.0\r\n\r\n", false, Err(())),
        ];
        for (received, closed, expected) in cases {
            let got = whole_answer(received, closed).map(|answer| answer.map(|a| a.body));
            let got = got.as_ref().map(Option::as_deref).map_err(drop);
            assert_eq!(got, expected, "{}", String::from_utf8_lossy(received));
        }
    }
}
