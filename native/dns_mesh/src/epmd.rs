//! A client of epmd, the daemon that knows the ports of a host's Erlang nodes.
//!
//! Who answers at that port need not be an epmd, nor a friend: a reply is short, of one shape, and
//! what it says is text that can be shown.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::turns::Turns;

pub const DEFAULT_PORT: u16 = 4369;

/// No host has so many nodes that their names take more.
pub const MAX_REPLY: usize = 64 * 1024;
pub const MAX_NAMES: usize = 1024;

const NAMES_REQ: u8 = 110;
const PORT_PLEASE2_REQ: u8 = 122;
const PORT2_RESP: u8 = 119;

/// As epmd itself has it.
const MAX_NAME: usize = 255;

/// In the whole process: each question costs a socket. An epmd answers within milliseconds; who has
/// said nothing after two repeats of the first packet (1 s, 3 s) will not.
pub(crate) static TURNS: Turns = Turns::new(64, Duration::ZERO, Duration::from_secs(5));

/// A node as epmd lists it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Registered {
    pub name: String,
    pub port: u16,
}

/// Why an epmd said nothing of use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EpmdFault {
    /// Nothing came, or not all of it, in time.
    Silent,
    /// The host is there, and nobody listens.
    Refused,
    /// Whoever answered speaks otherwise than epmd.
    Garbled,
    /// The operating system could not get there.
    Unreachable(String),
}

/// All names registered there, in order, each once. Names that nobody can read are left out: those
/// that are not UTF-8, and those with a blank or a control character in them.
pub async fn names(epmd: SocketAddr, until: Instant) -> Result<Vec<Registered>, EpmdFault> {
    within(until, async {
        let mut stream = TcpStream::connect(epmd).await?;
        stream.write_all(&[0, 1, NAMES_REQ]).await?;
        let mut reply = Vec::new();
        let limit = MAX_REPLY as u64 + 1;
        stream.take(limit).read_to_end(&mut reply).await?;
        read_names(&reply).ok_or(EpmdFault::Garbled)
    })
    .await
}

/// The distribution port of the node `name`, or `None` when no such name is registered.
pub async fn port(epmd: SocketAddr, name: &str, until: Instant) -> Result<Option<u16>, EpmdFault> {
    let Some(request) = port_request(name) else {
        return Ok(None);
    };
    within(until, async {
        let mut stream = TcpStream::connect(epmd).await?;
        stream.write_all(&request).await?;
        read_port(&mut stream).await
    })
    .await
}

async fn within<T>(
    until: Instant,
    exchange: impl Future<Output = Result<T, EpmdFault>>,
) -> Result<T, EpmdFault> {
    timeout_at(until, exchange)
        .await
        .unwrap_or(Err(EpmdFault::Silent))
}

/// epmd's own port, then a line for each name: `name app at port 40123`.
fn read_names(reply: &[u8]) -> Option<Vec<Registered>> {
    if reply.len() > MAX_REPLY {
        return None;
    }
    let lines = reply.get(4..)?;
    let mut names = Vec::new();
    // A line without its end is half a reply.
    for line in lines.split_inclusive(|&byte| byte == b'\n') {
        let (name, port) = read_line(line.strip_suffix(b"\n")?)?;
        if let Some(name) = readable(name) {
            names.push(Registered { name, port });
        }
    }
    names.sort();
    names.dedup_by(|a, b| a.name == b.name);
    (names.len() <= MAX_NAMES).then_some(names)
}

/// From its end, for a name may hold any byte.
fn read_line(line: &[u8]) -> Option<(&[u8], u16)> {
    const PORT: &[u8] = b" at port ";
    let rest = line.strip_prefix(b"name ")?;
    let at = rest.windows(PORT.len()).rposition(|part| part == PORT)?;
    let port = str::from_utf8(&rest[at + PORT.len()..]).ok()?;
    Some((&rest[..at], port.parse().ok()?))
}

fn readable(name: &[u8]) -> Option<String> {
    let is_plain = |c: char| c.is_ascii_graphic() || c.is_alphanumeric();
    let name = str::from_utf8(name).ok()?;
    ((1..=MAX_NAME).contains(&name.len()) && name.chars().all(is_plain)).then(|| name.to_owned())
}

/// Length, question, name; `None` for a name that epmd cannot know.
fn port_request(name: &str) -> Option<Vec<u8>> {
    if !(1..=MAX_NAME).contains(&name.len()) {
        return None;
    }
    let length = u16::try_from(1 + name.len()).ok()?;
    let mut request = length.to_be_bytes().to_vec();
    request.push(PORT_PLEASE2_REQ);
    request.extend(name.bytes());
    Some(request)
}

/// The answer's first four bytes say it: `119`, 0 for "found", the port.
async fn read_port(stream: &mut TcpStream) -> Result<Option<u16>, EpmdFault> {
    let mut reply = Vec::with_capacity(512);
    loop {
        let read = stream.read_buf(&mut reply).await?;
        match reply[..] {
            [PORT2_RESP, 0, high, low, ..] => {
                return match u16::from_be_bytes([high, low]) {
                    0 => Err(EpmdFault::Garbled),
                    port => Ok(Some(port)),
                };
            }
            [PORT2_RESP, refusal, ..] if refusal != 0 => return Ok(None),
            [] | [PORT2_RESP] | [PORT2_RESP, 0, ..] if read > 0 => {}
            _ => return Err(EpmdFault::Garbled),
        }
    }
}

impl From<io::Error> for EpmdFault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::TimedOut => Self::Silent,
            // Who hangs up on our question does not know it. An epmd answers, and then hangs up.
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => Self::Garbled,
            _ => Self::Unreachable(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[u8]) -> Option<Vec<(String, u16)>> {
        let reply = [&[0, 0, 0x11, 0x11], lines].concat();
        let names = read_names(&reply)?;
        Some(names.into_iter().map(|one| (one.name, one.port)).collect())
    }

    fn named(names: &[(&str, u16)]) -> Option<Vec<(String, u16)>> {
        Some(
            names
                .iter()
                .map(|&(name, port)| (name.into(), port))
                .collect(),
        )
    }

    #[test]
    fn names_come_in_order_and_once() {
        assert_eq!(read(b""), named(&[]));
        assert_eq!(
            read(b"name worker at port 40002\nname app at port 40001\nname app at port 40003\n"),
            named(&[("app", 40001), ("worker", 40002)])
        );
        assert_eq!(
            read("name \u{e9}t\u{e9}-1_x at port 1\n".as_bytes()),
            named(&[("\u{e9}t\u{e9}-1_x", 1)])
        );
        assert_eq!(
            read(b"name a at port 7 at port 8\nname b at port 9\n"),
            named(&[("b", 9)]),
            "a blank in the name"
        );
    }

    #[test]
    fn names_that_nobody_can_read_are_left_out() {
        for name in [
            &b"\xff\xfe"[..],
            b"a\0b",
            b"a\tb",
            b"a\x1b[31m",
            "a\u{202e}b".as_bytes(),
            "a\u{85}b".as_bytes(),
            "a\u{a0}b".as_bytes(),
            b"",
            &[b'a'; 256],
        ] {
            let lines = [b"name ", name, b" at port 5\nname app at port 6\n"].concat();
            assert_eq!(read(&lines), named(&[("app", 6)]), "{name:?}");
        }
        assert!(readable(&[b'a'; 255]).is_some());
    }

    #[test]
    fn half_a_reply_is_none() {
        for reply in [&b""[..], &[0, 0, 0x11]] {
            assert_eq!(read_names(reply), None, "{reply:?}");
        }
        for lines in [
            &b"name app at port 4000"[..],
            b"name app at port 40001\nna",
            b"name app at port 40001\n\n",
            b"name app at port 65536\n",
            b"name app at port \n",
            b"name app port 4\n",
            b"HTTP/1.1 400 Bad Request\r\n",
            b"\r\n",
        ] {
            assert_eq!(read(lines), None, "{lines:?}");
        }
    }

    #[test]
    fn more_than_any_host_has_is_no_reply() {
        let lines = |count| {
            (0..count)
                .map(|n| format!("name n{n} at port 5\n"))
                .collect::<String>()
        };
        assert_eq!(read(lines(MAX_NAMES).as_bytes()).unwrap().len(), MAX_NAMES);
        assert_eq!(read(lines(MAX_NAMES + 1).as_bytes()), None);
        let same = "name app at port 5\n".repeat(MAX_REPLY / 19);
        assert_eq!(read(same.as_bytes()), named(&[("app", 5)]));
        assert_eq!(read(format!("{same}{same}").as_bytes()), None);

        // Four bytes for epmd's own port, and lines of 19 bytes.
        let rest = (MAX_REPLY - 4) % 19 + 19;
        let reply = |length: usize| {
            let last = format!("name {} at port 5\n", "x".repeat(length - 16));
            format!(
                "{}{last}",
                "name app at port 5\n".repeat((MAX_REPLY - 4) / 19 - 1)
            )
        };
        assert_eq!(reply(rest).len() + 4, MAX_REPLY);
        assert_eq!(read(reply(rest).as_bytes()).unwrap().len(), 2);
        assert_eq!(read(reply(rest + 1).as_bytes()), None);
    }

    #[test]
    fn requests() {
        assert_eq!(port_request("app").unwrap(), b"\x00\x04zapp");
        assert_eq!(port_request(""), None);
        assert_eq!(port_request(&"a".repeat(256)), None);
        assert_eq!(port_request(&"a".repeat(255)).unwrap().len(), 258);
    }
}
