//! Which text is a name at all, and names between text and wire.

use std::net::IpAddr;

use hickory_resolver::proto::rr::Name;

use crate::error::BadName;

const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// A checked text: an address that answers itself, or a name to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    Literal(IpAddr),
    Name(HostName),
}

/// A name that may go to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName {
    /// Without trailing dot, case as given.
    pub text: String,
    /// Written with a trailing dot: no search domain is added.
    pub absolute: bool,
}

/// Whether `text` may be looked up.
///
/// Letters, digits, `-` and `_` anywhere (Docker's names have underscores within labels),
/// one trailing dot; or an IPv4 or IPv6 literal.
pub fn check_name(text: &[u8]) -> Result<(), BadName> {
    Host::parse(text).map(drop)
}

/// Whether a host may have this name: unlike [`check_name`], literals do not count.
pub(crate) fn is_host_name(text: &str) -> bool {
    matches!(Host::parse(text.as_bytes()), Ok(Host::Name(_)))
}

impl Host {
    pub fn parse(text: &[u8]) -> Result<Self, BadName> {
        if let Some(ip) = literal(text) {
            return Ok(Self::Literal(ip));
        }
        let (bare, absolute) = match text.strip_suffix(b".") {
            Some(bare) => (bare, true),
            None => (text, false),
        };
        check_labels(bare)?;
        Ok(Self::Name(HostName {
            text: String::from_utf8_lossy(bare).into_owned(),
            absolute,
        }))
    }
}

fn literal(text: &[u8]) -> Option<IpAddr> {
    str::from_utf8(text).ok()?.parse().ok()
}

fn check_labels(bare: &[u8]) -> Result<(), BadName> {
    if bare.is_empty() {
        return Err(BadName::Empty);
    }
    if bare.len() > MAX_NAME {
        return Err(BadName::TooLong);
    }
    if bare
        .split(|&byte| byte == b'.')
        .any(|label| label.len() > MAX_LABEL)
    {
        return Err(BadName::LabelTooLong);
    }
    if bare.split(|&byte| byte == b'.').any(<[u8]>::is_empty) {
        return Err(BadName::EmptyLabel);
    }
    bare.iter().try_for_each(|&byte| check_byte(byte))
}

fn check_byte(byte: u8) -> Result<(), BadName> {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => Ok(()),
        b' ' | b'\t' => Err(BadName::Blank),
        byte if byte.is_ascii_control() => Err(BadName::Control),
        byte if !byte.is_ascii() => Err(BadName::NotAscii),
        _ => Err(BadName::BadCharacter),
    }
}

/// The wire form of a checked text, always fully qualified. From labels, because hickory's
/// own text parser is stricter than the names that container platforms give out.
pub fn to_wire(text: &str) -> Result<Name, BadName> {
    Name::from_labels(text.split('.').map(str::as_bytes)).map_err(|_| BadName::TooLong)
}

/// Lower case, without trailing dot, so that two spellings of one host compare equal. Bytes
/// that no host name has come out as `\ddd`, the way zone files write them.
pub fn from_wire(name: &Name) -> String {
    let mut text = String::new();
    for label in name.iter() {
        if !text.is_empty() {
            text.push('.');
        }
        for &byte in label {
            match byte {
                b'!'..=b'~' if !b".\\".contains(&byte) => {
                    text.push(byte.to_ascii_lowercase().into());
                }
                _ => text.push_str(&format!("\\{byte:03}")),
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_may_be_asked() {
        for name in [
            "app",
            "app.internal",
            "app.internal.",
            "tasks.minotaur-stack_minotaur",
            "_epmd._tcp.app.ns.svc.cluster.local",
            "x_y.t",
            "-odd-.but.asked",
            "node.local",
            "10.0.0.1",
            "fdaa::3",
            "::1",
            "1.2.3.4.",
            &"a".repeat(63),
            &[
                &*"a".repeat(63),
                &"b".repeat(63),
                &"c".repeat(63),
                &"d".repeat(61),
            ]
            .join("."),
        ] {
            assert_eq!(check_name(name.as_bytes()), Ok(()), "{name}");
        }
    }

    #[test]
    fn texts_that_are_no_names() {
        let label_too_long = "a".repeat(64);
        let too_long = vec!["abcdefg"; 32].join(".");
        for (text, why) in [
            ("", BadName::Empty),
            (".", BadName::Empty),
            ("..", BadName::EmptyLabel),
            ("a..b", BadName::EmptyLabel),
            (".a", BadName::EmptyLabel),
            ("a..", BadName::EmptyLabel),
            (&label_too_long, BadName::LabelTooLong),
            (&too_long, BadName::TooLong),
            (" ", BadName::Blank),
            ("a b", BadName::Blank),
            ("a\tb", BadName::Blank),
            ("a\nb", BadName::Control),
            ("a\0b", BadName::Control),
            ("a\x7fb", BadName::Control),
            ("münchen.de", BadName::NotAscii),
            ("a/b", BadName::BadCharacter),
            ("a:4369", BadName::BadCharacter),
            ("[::1]", BadName::BadCharacter),
            ("fe80::1%eth0", BadName::BadCharacter),
            ("*.a", BadName::BadCharacter),
        ] {
            assert_eq!(check_name(text.as_bytes()), Err(why), "{text:?}");
        }
        assert_eq!(check_name(b"a\xff"), Err(BadName::NotAscii));
    }

    #[test]
    fn a_name_of_253_bytes_fits_254_do_not() {
        let name = |last: usize| format!("{0}.{0}.{0}.{1}", "a".repeat(63), "b".repeat(last));
        assert_eq!(name(61).len(), 253);
        assert_eq!(check_name(name(61).as_bytes()), Ok(()));
        assert_eq!(check_name(format!("{}.", name(61)).as_bytes()), Ok(()));
        assert_eq!(check_name(name(62).as_bytes()), Err(BadName::TooLong));
        assert!(to_wire(&name(61)).is_ok());
    }

    #[test]
    fn a_trailing_dot_makes_a_name_absolute() {
        let host = |text: &str, absolute| {
            Ok(Host::Name(HostName {
                text: text.into(),
                absolute,
            }))
        };
        assert_eq!(Host::parse(b"App.Internal."), host("App.Internal", true));
        assert_eq!(Host::parse(b"App.Internal"), host("App.Internal", false));
    }

    #[test]
    fn to_the_wire_and_back() {
        let wire = to_wire("Tasks.minotaur-stack_Minotaur").unwrap();
        assert!(wire.is_fqdn());
        assert_eq!(wire.to_ascii(), "Tasks.minotaur-stack_Minotaur.");
        assert_eq!(from_wire(&wire), "tasks.minotaur-stack_minotaur");
        assert_eq!(from_wire(&to_wire("-odd-").unwrap()), "-odd-");
        assert_eq!(from_wire(&Name::root()), "");
        let strange = Name::from_labels([&b"a.b"[..], b"c\\\xff d"]).unwrap();
        assert_eq!(from_wire(&strange), r"a\046b.c\092\255\032d");
    }
}
