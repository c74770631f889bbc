//! Why nothing was found, for people.

use std::fmt;
use std::fs::File;
use std::process::ExitCode;

use dns_mesh::{Candidate, Family, NoAddress, ip_text};

/// What goes to standard error, one sentence a line, and how the program ends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    lines: Vec<String>,
    is_usage: bool,
}

impl Failure {
    /// The command line, or what stands in for it in the environment, makes no sense.
    pub(crate) fn usage(line: impl fmt::Display) -> Self {
        Self {
            lines: vec![line.to_string()],
            is_usage: true,
        }
    }

    pub(crate) fn not_found(line: impl fmt::Display) -> Self {
        Self {
            lines: vec![line.to_string()],
            is_usage: false,
        }
    }

    pub(crate) fn and(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.lines.extend(lines);
        self
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(if self.is_usage { 2 } else { 1 })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            writeln!(f, "dns_mesh: {line}")?;
        }
        if self.is_usage {
            writeln!(f, "Try: dns_mesh --help")?;
        }
        Ok(())
    }
}

impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Self {
        Self::usage(error)
    }
}

pub(crate) fn undecided(candidates: &[Candidate]) -> String {
    let all = candidates
        .iter()
        .map(|one| format!("{} ({})", ip_text(one.ip), one.interface))
        .collect::<Vec<_>>()
        .join(", ");
    format!(
        "nothing says by which of its addresses peers know this machine: {all}; choose one with --address"
    )
}

pub(crate) fn no_address(why: &NoAddress) -> String {
    match why {
        NoAddress::NotLocal(ip) => format!(
            "{} is not an address of this machine, or its interface is down",
            ip_text(*ip)
        ),
        NoAddress::WrongFamily(ip) => format!(
            "{} is of the other IP version than the one asked for (--family, -proto_dist)",
            ip_text(*ip)
        ),
        NoAddress::NoInterface(name) => format!(
            "there is no interface {name}, or it is down, or has no address that peers could use"
        ),
        NoAddress::NoSubnet(network) => {
            format!("this machine has no address that peers could use in {network}")
        }
        NoAddress::OtherFamily(family) => {
            let (there, asked) = match family {
                Family::Inet => ("IPv4", "IPv6"),
                Family::Inet6 => ("IPv6", "IPv4"),
            };
            format!(
                "what addresses peers could use are {there} ones, and {asked} was asked for (--family, -proto_dist)"
            )
        }
        NoAddress::None => "no interface that is up has an address that peers could use".into(),
        NoAddress::Interfaces(text) => format!("the interfaces cannot be read: {text}"),
    }
}

/// The VM heeds that file's name servers, and DNSMesh in it; it is written in Erlang's terms.
pub(crate) fn inetrc_trouble() -> Option<String> {
    let path = crate::environment::variable("ERL_INETRC")?;
    Some(format!(
        "ERL_INETRC is set, and {path} is read in the VM only, not by this program: what it says of name servers, put into /etc/resolv.conf, or name a server with --nameserver"
    ))
}

/// Without resolv.conf the resolver asks this machine, as every resolver does, and whoever reads
/// "connection refused" then looks in the wrong place.
pub(crate) fn resolv_conf_trouble() -> Option<String> {
    const PATH: &str = "/etc/resolv.conf";
    let error = File::open(PATH).err()?;
    Some(format!(
        "{PATH} cannot be read ({error}), so 127.0.0.1 was asked; name a server with --nameserver"
    ))
}
