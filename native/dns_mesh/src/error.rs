//! Why a lookup gave no answer: a closed list, and the one gate for hickory's errors.

use std::fmt;

use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;

/// A lookup that gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub reason: Reason,
    /// The name that was asked for when it happened, without trailing dot.
    pub name: String,
    /// The server the reason came from, as `address:port`.
    pub server: Option<String>,
    /// Seconds for which the server says the name stays absent.
    pub negative_ttl: Option<u32>,
}

/// Each reason a lookup can fail for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The name does not exist.
    NxDomain,
    /// The name exists, without records of the type asked for.
    NoRecords,
    /// Nobody answered in time.
    Timeout,
    ServFail,
    Refused,
    FormErr,
    NotImp,
    /// Any other response code.
    Rcode(u16),
    /// A reply that cannot be decoded, or does not fit the question.
    BadReply,
    /// Truncated, over TCP as well.
    Truncated,
    /// Truncated over UDP, and TCP brings nothing.
    NoTcp(TcpFault),
    /// The operating system could not send or receive.
    Network(String),
    BadName(BadName),
}

/// Why TCP brings nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TcpFault {
    Refused,
    Silent,
    /// The server hung up before its answer was there.
    Closed,
    /// The operating system's words.
    Unreachable(String),
}

/// Why a text is not a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadName {
    Empty,
    TooLong,
    LabelTooLong,
    EmptyLabel,
    Blank,
    Control,
    NotAscii,
    BadCharacter,
}

impl Reason {
    /// Whether this is the zone's own word ("nobody there") rather than a server in trouble.
    pub fn is_conclusive(&self) -> bool {
        matches!(self, Self::NxDomain | Self::NoRecords)
    }

    /// How much a failure tells; of several, the one that tells most is reported.
    /// Trouble outranks any conclusive answer: with trouble about, "empty" is not known.
    pub(crate) fn weight(&self) -> u8 {
        match self {
            Self::NxDomain => 0,
            Self::NoRecords => 1,
            Self::Timeout => 2,
            Self::Network(_) => 3,
            Self::BadReply | Self::Truncated | Self::NoTcp(_) | Self::BadName(_) => 4,
            Self::ServFail | Self::Refused | Self::FormErr | Self::NotImp | Self::Rcode(_) => 5,
        }
    }
}

impl From<ResponseCode> for Reason {
    fn from(code: ResponseCode) -> Self {
        match code {
            ResponseCode::NoError => Self::NoRecords,
            ResponseCode::NXDomain => Self::NxDomain,
            ResponseCode::ServFail => Self::ServFail,
            ResponseCode::Refused => Self::Refused,
            ResponseCode::FormErr => Self::FormErr,
            ResponseCode::NotImp => Self::NotImp,
            other => Self::Rcode(other.into()),
        }
    }
}

/// One server's way of not answering.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub reason: Reason,
    pub negative_ttl: Option<u32>,
}

impl From<Reason> for Trouble {
    fn from(reason: Reason) -> Self {
        Self {
            reason,
            negative_ttl: None,
        }
    }
}

impl From<NetError> for Trouble {
    fn from(error: NetError) -> Self {
        match error {
            NetError::Dns(DnsError::NoRecordsFound(none)) => Self {
                reason: none.response_code.into(),
                negative_ttl: none.negative_ttl,
            },
            NetError::Dns(DnsError::ResponseCode(code)) => Reason::from(code).into(),
            NetError::Timeout => Reason::Timeout.into(),
            NetError::Truncated => Reason::Truncated.into(),
            NetError::Proto(_)
            | NetError::ForeignClassRecord { .. }
            | NetError::QueryCaseMismatch => Reason::BadReply.into(),
            NetError::Io(error) => Reason::Network(error.to_string()).into(),
            other => Reason::Network(other.to_string()).into(),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NxDomain => "no such name (NXDOMAIN)",
            Self::NoRecords => "the name has no records of this type",
            Self::Timeout => "no answer in time",
            Self::ServFail => "the name server failed (SERVFAIL)",
            Self::Refused => "the name server refused (REFUSED)",
            Self::FormErr => "the name server did not understand the question (FORMERR)",
            Self::NotImp => "the name server does not do such questions (NOTIMP)",
            Self::Rcode(code) => {
                return write!(f, "the name server answered with response code {code}");
            }
            Self::BadReply => "the name server's reply cannot be decoded",
            Self::Truncated => "the name server's reply is cut short, over TCP too",
            Self::NoTcp(fault) => {
                return write!(
                    f,
                    "the name server's reply is cut short over UDP, and {fault}"
                );
            }
            Self::Network(text) => {
                return write!(f, "the name server cannot be reached ({text})");
            }
            Self::BadName(why) => return write!(f, "not a name one can ask for: {why}"),
        })
    }
}

impl fmt::Display for TcpFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("its TCP port refuses connections"),
            Self::Silent => f.write_str("its TCP port does not answer"),
            Self::Closed => f.write_str("it hangs up over TCP"),
            Self::Unreachable(text) => write!(f, "its TCP port cannot be reached ({text})"),
        }
    }
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "empty",
            Self::TooLong => "longer than 253 bytes",
            Self::LabelTooLong => "a label is longer than 63 bytes",
            Self::EmptyLabel => "a label is empty",
            Self::Blank => "contains a blank",
            Self::Control => "contains a control byte",
            Self::NotAscii => "contains a byte that is not ASCII",
            Self::BadCharacter => "contains a character other than letters, digits, - and _",
        })
    }
}
