//! The handshake of Erlang's distribution, as far as the proof that both sides have one cookie.
//!
//! As `erl_dist_protocol` of OTP has it, in its version 6 (OTP 23 and later), as a hidden node: a
//! success makes the other side see a hidden node come and go, which its `global` and its
//! applications do not heed. A failure leaves a line in its log, as any dial does.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::md5;
use crate::turns::Turns;

/// As for probes: a distribution port has a short queue.
static TURNS: Turns = Turns::new(16, Duration::from_millis(300), Duration::from_secs(3));

/// Far beyond any handshake, and small enough to be added to a clock.
const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// What every OTP release from 25 to 29 wants of a node that connects: it would refuse one with
/// less. Without the lowest bit (`DFLAG_PUBLISHED`), hence hidden.
const FLAGS: u64 = 0x4 // EXTENDED_REFERENCES
    | 0x10 // FUN_TAGS
    | 0x80 // NEW_FUN_TAGS
    | 0x100 // EXTENDED_PIDS_PORTS
    | 0x200 // EXPORT_PTR_TAG
    | 0x400 // BIT_BINARIES
    | 0x800 // NEW_FLOATS
    | 0x1_0000 // UTF8_ATOMS
    | 0x2_0000 // MAP_TAG
    | 0x4_0000 // BIG_CREATION
    | 0x100_0000 // HANDSHAKE_23
    | 0x200_0000 // UNLINK_ID
    | 0x10_0000_0000 // MANDATORY_25_DIGEST
    | 0x4_0000_0000; // V4_NC

const PUBLISHED: u64 = 0x1;

/// No handshake message is longer, whoever answers.
const MAX_MESSAGE: usize = 1024;

/// Who knocks.
#[derive(Clone, Debug)]
pub struct Caller {
    pub name: String,
    /// Without one, the handshake ends where the cookie would be proved.
    pub cookie: Option<Vec<u8>>,
}

/// Whom to greet: a node that is said to be called so, at its distribution port.
#[derive(Clone, Debug)]
pub struct Call {
    pub name: String,
    pub at: SocketAddr,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// It is the node, and both have the same cookie. Or nothing was proved, for want of one.
    Welcome { hidden: bool, proved: bool },
    /// It is the node, and it does not take the cookie, or has another one for us.
    WrongCookie,
    /// A node, and another one.
    OtherName(String),
    /// It has a list of nodes that may connect (`net_kernel:allow/1`).
    NotAllowed,
    /// It is connected to a node of the caller's name, or about to be.
    Busy,
    /// It speaks TLS.
    Tls,
    /// Whoever it is hung up, or speaks otherwise than a node.
    NoNode,
    /// Nothing came, or not all of it, in time.
    Silent,
    /// There was no time to try it.
    NotTried,
}

/// Greets all of them, a few at a time. Must run on a tokio runtime; ends by `timeout`.
pub async fn greet_all(calls: &[Call], caller: &Caller, timeout: Duration) -> Vec<Greeting> {
    let deadline = Instant::now() + timeout.min(MAX_TIMEOUT);
    let greetings = calls.iter().map(|call| {
        let ticket = TURNS.ticket();
        async move {
            match ticket.turn(deadline).await {
                Some(turn) => timeout_at(turn.until, greet(call, caller))
                    .await
                    .unwrap_or(Greeting::Silent),
                None => Greeting::NotTried,
            }
        }
    });
    join_all(greetings.collect::<Vec<_>>()).await
}

async fn greet(call: &Call, caller: &Caller) -> Greeting {
    match shake(call, caller).await {
        Ok(greeting) | Err(End::Known(greeting)) => greeting,
        Err(End::Io(error)) if error.kind() == io::ErrorKind::TimedOut => Greeting::Silent,
        Err(End::Io(_)) => Greeting::NoNode,
    }
}

/// Why a handshake went no further.
enum End {
    Known(Greeting),
    Io(io::Error),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

async fn shake(call: &Call, caller: &Caller) -> Result<Greeting, End> {
    let mut stream = TcpStream::connect(call.at).await?;
    stream.write_all(&send_name(&caller.name)).await?;
    read_status(&read(&mut stream).await?)?;
    let peer = Challenge::read(&read(&mut stream).await?)?;
    if peer.name != call.name {
        return Ok(Greeting::OtherName(peer.name));
    }
    let hidden = peer.flags & PUBLISHED == 0;
    let Some(cookie) = &caller.cookie else {
        return Ok(Greeting::Welcome {
            hidden,
            proved: false,
        });
    };
    let ours = chance();
    let reply = challenge_reply(ours, proof(cookie, peer.challenge));
    stream.write_all(&reply).await?;
    let ack = match read(&mut stream).await {
        Ok(ack) => ack,
        // Who does not take our proof hangs up without a word.
        Err(End::Io(_)) => return Ok(Greeting::WrongCookie),
        Err(known) => return Err(known),
    };
    let expected = proof(cookie, ours);
    Ok(match ack.split_first() {
        Some((b'a', theirs)) if theirs == expected => Greeting::Welcome {
            hidden,
            proved: true,
        },
        Some((b'a', _)) => Greeting::WrongCookie,
        _ => Greeting::NoNode,
    })
}

/// One message: two bytes of length, and as many as they say.
async fn read(stream: &mut TcpStream) -> Result<Vec<u8>, End> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).await?;
    // A record of TLS: an alert (21) or a handshake (22), of a version 3.x.
    if matches!(length, [21 | 22, 3]) {
        return Err(End::Known(Greeting::Tls));
    }
    let length = usize::from(u16::from_be_bytes(length));
    if length > MAX_MESSAGE {
        return Err(End::Known(Greeting::NoNode));
    }
    let mut message = vec![0; length];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

fn send_name(name: &str) -> Vec<u8> {
    let mut message = vec![b'N'];
    message.extend(FLAGS.to_be_bytes());
    // Of this life of the node: any number above 3, which older formats had for others.
    message.extend((chance() | 4).to_be_bytes());
    message.extend(length(name.len()).to_be_bytes());
    message.extend(name.bytes());
    packet(&message)
}

fn challenge_reply(challenge: u32, proof: [u8; 16]) -> Vec<u8> {
    let mut message = vec![b'r'];
    message.extend(challenge.to_be_bytes());
    message.extend(proof);
    packet(&message)
}

fn packet(message: &[u8]) -> Vec<u8> {
    [&length(message.len()).to_be_bytes(), message].concat()
}

fn length(of: usize) -> u16 {
    u16::try_from(of).unwrap_or(u16::MAX)
}

fn read_status(message: &[u8]) -> Result<(), End> {
    let Some((b's', status)) = message.split_first() else {
        return Err(End::Known(Greeting::NoNode));
    };
    match status {
        b"ok" | b"ok_simultaneous" => Ok(()),
        b"nok" | b"alive" => Err(End::Known(Greeting::Busy)),
        b"not_allowed" => Err(End::Known(Greeting::NotAllowed)),
        _ => Err(End::Known(Greeting::NoNode)),
    }
}

/// What the peer says of itself, and wants proved.
struct Challenge {
    flags: u64,
    challenge: u32,
    name: String,
}

impl Challenge {
    fn read(message: &[u8]) -> Result<Self, End> {
        Self::parse(message).ok_or(End::Known(Greeting::NoNode))
    }

    /// `N`, flags, challenge, creation, length of the name, name, and what later releases add.
    fn parse(message: &[u8]) -> Option<Self> {
        let rest = message.strip_prefix(b"N")?;
        let (flags, rest) = rest.split_first_chunk()?;
        let (challenge, rest) = rest.split_first_chunk()?;
        let (_creation, rest) = rest.split_first_chunk::<4>()?;
        let (length, rest) = rest.split_first_chunk()?;
        let name = rest.get(..usize::from(u16::from_be_bytes(*length)))?;
        let name = str::from_utf8(name).ok()?;
        let is_plain = |c: char| c.is_ascii_graphic() || c.is_alphanumeric();
        name.chars().all(is_plain).then(|| Self {
            flags: u64::from_be_bytes(*flags),
            challenge: u32::from_be_bytes(*challenge),
            name: name.to_owned(),
        })
    }
}

/// MD5 of the cookie and the challenge in decimal.
fn proof(cookie: &[u8], challenge: u32) -> [u8; 16] {
    md5::digest(&[cookie, challenge.to_string().as_bytes()].concat())
}

/// A number that nobody can have listened for before. The keys of std's hashes are random.
fn chance() -> u32 {
    let number = RandomState::new().build_hasher().finish();
    // The upper half is as random as all of it.
    u32::try_from(number >> 32).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    const NAME: &str = "app@127.0.0.1";
    const COOKIE: &[u8] = b"secret";
    const CHALLENGE: u32 = 3_000_000_000;
    const SHORT: Duration = Duration::from_millis(300);
    const LONG: Duration = Duration::from_secs(20);

    /// What a peer does, step by step, with its one connection.
    enum Step {
        /// Reads a message, which begins with this byte.
        Hear(u8),
        Say(Vec<u8>),
        /// Reads the answer to its challenge, and proves the cookie in turn, if the proof is right.
        Prove(&'static [u8]),
        Hang,
    }
    use Step::{Hang, Hear, Prove, Say};

    async fn peer(script: Vec<Step>) -> Call {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            for step in script {
                if !play(step, &mut stream).await {
                    return;
                }
            }
        });
        let name = NAME.into();
        Call { name, at }
    }

    async fn play(step: Step, stream: &mut TcpStream) -> bool {
        match step {
            Hear(tag) => read(stream).await.is_ok_and(|message| message[0] == tag),
            Say(bytes) => stream.write_all(&bytes).await.is_ok(),
            Prove(cookie) => {
                let Ok(reply) = read(stream).await else {
                    return false;
                };
                let theirs = u32::from_be_bytes(reply[1..5].try_into().unwrap());
                if reply[5..] != proof(cookie, CHALLENGE) {
                    return false;
                }
                let ack = [&b"a"[..], &proof(cookie, theirs)].concat();
                stream.write_all(&packet(&ack)).await.is_ok()
            }
            Hang => std::future::pending().await,
        }
    }

    fn status(text: &str) -> Step {
        Say(packet(&[b"s", text.as_bytes()].concat()))
    }

    fn challenge(flags: u64, name: &str) -> Vec<u8> {
        let mut message = vec![b'N'];
        message.extend(flags.to_be_bytes());
        message.extend(CHALLENGE.to_be_bytes());
        message.extend(7_u32.to_be_bytes());
        message.extend(length(name.len()).to_be_bytes());
        message.extend(name.bytes());
        packet(&message)
    }

    fn caller() -> Caller {
        Caller {
            name: "doctor@127.0.0.1".into(),
            cookie: Some(COOKIE.into()),
        }
    }

    async fn greeted(script: Vec<Step>) -> Greeting {
        let call = peer(script).await;
        greet_all(&[call], &caller(), SHORT * 3).await.remove(0)
    }

    /// As far as the challenge.
    fn node(flags: u64, name: &str, more: Vec<Step>) -> Vec<Step> {
        let mut script = vec![Hear(b'N'), status("ok"), Say(challenge(flags, name))];
        script.extend(more);
        script
    }

    #[tokio::test]
    async fn nodes_that_take_the_cookie() {
        for (flags, hidden) in [(FLAGS | PUBLISHED, false), (FLAGS, true)] {
            let expected = Greeting::Welcome {
                hidden,
                proved: true,
            };
            let script = node(flags, NAME, vec![Prove(COOKIE)]);
            assert_eq!(greeted(script).await, expected);
        }
        let mut simultaneous = node(FLAGS, NAME, vec![Prove(COOKIE)]);
        simultaneous[1] = status("ok_simultaneous");
        assert!(matches!(
            greeted(simultaneous).await,
            Greeting::Welcome { .. }
        ));
        // Later releases may say more behind the name.
        let mut longer = challenge(FLAGS, NAME);
        longer.extend(b"more");
        longer[1] += 4;
        let script = vec![Hear(b'N'), status("ok"), Say(longer), Prove(COOKIE)];
        assert!(matches!(greeted(script).await, Greeting::Welcome { .. }));
    }

    #[tokio::test]
    async fn without_a_cookie_nothing_is_proved() {
        let call = peer(node(FLAGS, NAME, vec![Hear(b'r')])).await;
        let caller = Caller {
            cookie: None,
            ..caller()
        };
        let greeting = greet_all(&[call], &caller, LONG).await;
        let expected = Greeting::Welcome {
            hidden: true,
            proved: false,
        };
        assert_eq!(greeting, [expected]);
    }

    #[tokio::test]
    async fn cookies_that_differ_either_way() {
        let refuses = node(FLAGS, NAME, vec![Prove(b"another")]);
        assert_eq!(greeted(refuses).await, Greeting::WrongCookie);
        let ack = [&b"a"[..], &proof(b"another", 1)].concat();
        let differs = node(FLAGS, NAME, vec![Hear(b'r'), Say(packet(&ack))]);
        assert_eq!(greeted(differs).await, Greeting::WrongCookie);
    }

    #[tokio::test]
    async fn nodes_that_are_none_of_ours() {
        let other = Greeting::OtherName("app@10.0.0.9".into());
        assert_eq!(greeted(node(FLAGS, "app@10.0.0.9", vec![])).await, other);
        for (text, expected) in [
            ("not_allowed", Greeting::NotAllowed),
            ("nok", Greeting::Busy),
            ("alive", Greeting::Busy),
            ("what", Greeting::NoNode),
        ] {
            let script = vec![Hear(b'N'), status(text)];
            assert_eq!(greeted(script).await, expected, "{text}");
        }
    }

    #[tokio::test]
    async fn what_is_no_node() {
        let control = challenge(FLAGS, "a\u{1b}[31m@b");
        for (said, expected) in [
            (&[21, 3, 3, 0, 2, 2, 10][..], Greeting::Tls),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", Greeting::NoNode),
            (b"\0\0", Greeting::NoNode),
            (b"\0\x02no", Greeting::NoNode),
            (b"\xff\xffs", Greeting::NoNode),
            (b"\0\x03sok\0\x03N12", Greeting::NoNode),
            (
                &[b"\0\x03sok".as_slice(), &control].concat(),
                Greeting::NoNode,
            ),
        ] {
            let script = vec![Hear(b'N'), Say(said.into())];
            assert_eq!(greeted(script).await, expected, "{said:?}");
        }
        assert_eq!(greeted(vec![Hear(b'N')]).await, Greeting::NoNode);
        let nobody = Call {
            name: NAME.into(),
            at: "127.0.0.1:1".parse().unwrap(),
        };
        let greeting = greet_all(&[nobody], &caller(), LONG).await;
        assert_eq!(greeting, [Greeting::NoNode]);
    }

    #[tokio::test]
    async fn silence_at_any_step_ends_in_time() {
        let script = node(FLAGS, NAME, vec![Hear(b'r'), Hang]);
        for steps in 1..=4 {
            let mut script = script.iter().map(again).collect::<Vec<_>>();
            script.truncate(steps);
            script.push(Hang);
            let started = Instant::now();
            let greeting = greeted(script).await;
            // Half a handshake is none; after the proof it is a silence all the same.
            assert_eq!(greeting, Greeting::Silent, "{steps}");
            assert!(started.elapsed() < SHORT * 4, "{steps}");
        }
    }

    fn again(step: &Step) -> Step {
        match step {
            Hear(tag) => Hear(*tag),
            Say(bytes) => Say(bytes.clone()),
            Prove(cookie) => Prove(cookie),
            Hang => Hang,
        }
    }

    #[tokio::test]
    async fn no_time_and_nobody_to_greet() {
        assert_eq!(greet_all(&[], &caller(), LONG).await, []);
        let call = peer(vec![Hang]).await;
        let greeting = greet_all(&[call], &caller(), Duration::ZERO).await;
        assert_eq!(greeting, [Greeting::NotTried]);
    }

    /// The figures are OTP's: `dist_util:gen_digest/2`.
    #[test]
    fn proofs() {
        let expected = md5::digest(b"secret3000000000");
        assert_eq!(proof(COOKIE, CHALLENGE), expected);
    }
}
