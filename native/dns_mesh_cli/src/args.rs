//! The command line, checked.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use dns_mesh::{AddressOption, Family, Network, check_basename, check_name};
use lexopt::prelude::*;

use crate::failure::Failure;

const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    NodeName(Own),
    Address(Own),
    Lookup(Lookup),
    Help,
    Version,
}

/// What `node-name` and `address` are told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Own {
    pub(crate) basename: Option<String>,
    pub(crate) query: Option<String>,
    pub(crate) address: Option<Which>,
    pub(crate) family: Option<Family>,
    pub(crate) nameservers: Vec<SocketAddr>,
    pub(crate) timeout: Duration,
}

/// What `--address` says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Option(AddressOption),
    /// The environment variable that holds the address.
    Variable(String),
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lookup {
    pub(crate) name: String,
    pub(crate) record_type: Option<RecordType>,
    pub(crate) nameservers: Vec<SocketAddr>,
    pub(crate) timeout: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordType {
    A,
    Aaaa,
    Srv,
}

pub(crate) fn parse<I>(args: I) -> Result<Command, Failure>
where
    I: IntoIterator<Item: Into<OsString>>,
{
    let mut parser = lexopt::Parser::from_args(args);
    match parser.next()? {
        None => Err(Failure::usage(
            "say what to do: node-name, address or lookup",
        )),
        Some(Long("help") | Short('h')) => Ok(Command::Help),
        Some(Long("version") | Short('V')) => Ok(Command::Version),
        Some(Value(command)) => match command.to_str() {
            Some("node-name") => own(&mut parser, Command::NodeName),
            Some("address") => own(&mut parser, Command::Address),
            Some("lookup") => lookup(&mut parser),
            Some("help") => Ok(Command::Help),
            _ => Err(Failure::usage(format!("unknown command {command:?}"))),
        },
        Some(option) => Err(option.unexpected().into()),
    }
}

fn own(parser: &mut lexopt::Parser, command: fn(Own) -> Command) -> Result<Command, Failure> {
    let mut own = Own::new();
    while let Some(option) = parser.next()? {
        match option {
            Long("help") | Short('h') => return Ok(Command::Help),
            Long(name) => {
                let name = name.to_owned();
                own.set(&name, parser)?;
            }
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(command(own))
}

impl Own {
    fn new() -> Self {
        Self {
            basename: None,
            query: None,
            address: None,
            family: None,
            nameservers: vec![],
            timeout: TIMEOUT,
        }
    }

    fn set(&mut self, option: &str, parser: &mut lexopt::Parser) -> Result<(), Failure> {
        match option {
            "basename" => self.basename = Some(basename("--basename", &text(parser)?)?),
            "query" => self.query = Some(text(parser)?),
            "address" => self.address = Some(which("--address", &text(parser)?)?),
            "family" => self.family = Some(family(&text(parser)?)?),
            "nameserver" => self.nameservers.push(nameserver(&text(parser)?)?),
            "timeout" => self.timeout = timeout(&text(parser)?)?,
            other => return Err(Long(other).unexpected().into()),
        }
        Ok(())
    }
}

fn lookup(parser: &mut lexopt::Parser) -> Result<Command, Failure> {
    let mut name = None;
    let mut record_type = None;
    let mut nameservers = vec![];
    let mut limit = TIMEOUT;
    while let Some(option) = parser.next()? {
        match option {
            Long("type") => record_type = Some(of_type(&text(parser)?)?),
            Long("nameserver") => nameservers.push(nameserver(&text(parser)?)?),
            Long("timeout") => limit = timeout(&text(parser)?)?,
            Long("help") | Short('h') => return Ok(Command::Help),
            Value(value) if name.is_none() => name = Some(value.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let name = name.ok_or_else(|| Failure::usage("lookup what? Give a name"))?;
    check_name(name.as_bytes()).map_err(|why| {
        Failure::usage(format!(
            "{name:?} is no name one can ask for: {why}{}",
            hint(&name)
        ))
    })?;
    Ok(Command::Lookup(Lookup {
        name,
        record_type,
        nameservers,
        timeout: limit,
    }))
}

/// An item of a query is easily taken for a name.
fn hint(name: &str) -> String {
    match name.split_once('@') {
        Some((_, host)) if check_name(host.as_bytes()).is_ok() => {
            format!("; of {name}, look up {host}")
        }
        _ => String::new(),
    }
}

fn text(parser: &mut lexopt::Parser) -> Result<String, Failure> {
    Ok(parser.value()?.string()?)
}

/// `origin` is where the text comes from, for people: the option, or the variable that stands
/// for it.
pub(crate) fn basename(origin: &str, text: &str) -> Result<String, Failure> {
    match check_basename(text.as_bytes()) {
        Ok(basename) => Ok(basename.into()),
        Err(bad) => Err(Failure::usage(format!("{origin}: {bad}"))),
    }
}

pub(crate) fn which(origin: &str, text: &str) -> Result<Which, Failure> {
    let option = if let Some(name) = text.strip_prefix("interface:") {
        (!name.is_empty()).then(|| AddressOption::Interface(name.into()))
    } else if let Some(network) = text.strip_prefix("subnet:") {
        Network::parse(network).map(AddressOption::Subnet)
    } else if let Some(variable) = text.strip_prefix("env:") {
        // The operating system knows no variable of such a name, and std panics at it.
        let is_name = !variable.is_empty() && !variable.contains(['=', '\0']);
        return is_name
            .then(|| Which::Variable(variable.into()))
            .ok_or_else(|| bad_which(origin, text));
    } else {
        text.parse().ok().map(AddressOption::Literal)
    };
    option
        .map(Which::Option)
        .ok_or_else(|| bad_which(origin, text))
}

fn bad_which(origin: &str, text: &str) -> Failure {
    expected(
        origin,
        "an IP address, interface:NAME, subnet:ADDRESS/LENGTH or env:VARIABLE",
        text,
    )
}

fn family(text: &str) -> Result<Family, Failure> {
    match text {
        "4" => Ok(Family::Inet),
        "6" => Ok(Family::Inet6),
        _ => Err(expected("--family", "4 or 6", text)),
    }
}

fn of_type(text: &str) -> Result<RecordType, Failure> {
    match text.to_ascii_lowercase().as_str() {
        "a" => Ok(RecordType::A),
        "aaaa" => Ok(RecordType::Aaaa),
        "srv" => Ok(RecordType::Srv),
        _ => Err(expected("--type", "a, aaaa or srv", text)),
    }
}

/// `10.0.0.2`, `127.0.0.1:8600`, `fdaa::3` or `[fdaa::3]:53`
fn nameserver(text: &str) -> Result<SocketAddr, Failure> {
    const DNS: u16 = 53;
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let bare = bare.unwrap_or(text).parse::<IpAddr>();
    bare.map(|ip| SocketAddr::new(ip, DNS))
        .or_else(|_| text.parse())
        .ok()
        .filter(|server: &SocketAddr| server.port() > 0)
        .ok_or_else(|| expected("--nameserver", "an IP address, or address:port", text))
}

fn timeout(text: &str) -> Result<Duration, Failure> {
    const DAY: u64 = 24 * 60 * 60 * 1000;
    match text.parse() {
        Ok(ms @ 1..=DAY) => Ok(Duration::from_millis(ms)),
        _ => Err(expected(
            "--timeout",
            "milliseconds, up to a day of them",
            text,
        )),
    }
}

fn expected(option: &str, what: &str, got: &str) -> Failure {
    Failure::usage(format!("{option} is {what}, got: {got:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        parse(line.split(' ').filter(|word| !word.is_empty()))
            .map_err(|failure| failure.to_string())
    }

    fn own(line: &str) -> Own {
        match parsed(&format!("address {line}")) {
            Ok(Command::Address(own)) => own,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn lookup(line: &str) -> Lookup {
        match parsed(&format!("lookup {line}")) {
            Ok(Command::Lookup(lookup)) => lookup,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn without_options() {
        let own = own("");
        assert_eq!(own.timeout, Duration::from_secs(5));
        assert_eq!((own.basename, own.query), (None, None));
        assert_eq!((own.address, own.family), (None, None));
        assert_eq!(own.nameservers, []);
        assert!(matches!(parsed("node-name"), Ok(Command::NodeName(_))));
        let lookup = lookup("app.internal");
        assert_eq!(
            (lookup.name.as_str(), lookup.record_type),
            ("app.internal", None)
        );
        assert_eq!(lookup.timeout, Duration::from_secs(5));
    }

    #[test]
    fn with_all_of_them() {
        let given = own(
            "--basename app --query=a,b@c --address 10.0.0.5 --family 6 --timeout 300 \
             --nameserver 10.0.0.2 --nameserver=127.0.0.1:8600",
        );
        assert_eq!(given.basename.as_deref(), Some("app"));
        assert_eq!(given.query.as_deref(), Some("a,b@c"));
        let literal = AddressOption::Literal([10, 0, 0, 5].into());
        assert_eq!(given.address, Some(Which::Option(literal)));
        assert_eq!(given.family, Some(Family::Inet6));
        assert_eq!(given.timeout, Duration::from_millis(300));
        let servers = ["10.0.0.2:53", "127.0.0.1:8600"].map(|text| text.parse().unwrap());
        assert_eq!(given.nameservers, servers);

        let given = lookup("--type SRV --timeout 1 _x._tcp.a --nameserver [fdaa::3]:5353");
        assert_eq!(given.record_type, Some(RecordType::Srv));
        assert_eq!(given.name, "_x._tcp.a");
        assert_eq!(given.timeout, Duration::from_millis(1));
        assert_eq!(given.nameservers, ["[fdaa::3]:5353".parse().unwrap()]);
    }

    #[test]
    fn addresses() {
        let which = |text: &str| own(&format!("--address {text}")).address.unwrap();
        let option = |option| Which::Option(option);
        assert_eq!(
            which("fdaa::3"),
            option(AddressOption::Literal("fdaa::3".parse().unwrap()))
        );
        assert_eq!(
            which("interface:eth1"),
            option(AddressOption::Interface("eth1".into()))
        );
        assert_eq!(
            which("interface:eth0:1"),
            option(AddressOption::Interface("eth0:1".into()))
        );
        let network = Network::parse("fd00::/8").unwrap();
        assert_eq!(
            which("subnet:fd00::/8"),
            option(AddressOption::Subnet(network))
        );
        assert_eq!(which("env:POD_IP"), Which::Variable("POD_IP".into()));
    }

    #[test]
    fn name_servers() {
        let server = |text: &str| own(&format!("--nameserver {text}")).nameservers[0].to_string();
        assert_eq!(server("fdaa::3"), "[fdaa::3]:53");
        assert_eq!(server("[fdaa::3]"), "[fdaa::3]:53");
        assert_eq!(server("[::1]:5353"), "[::1]:5353");
    }

    #[test]
    fn help_and_version_come_first() {
        for line in [
            "--help",
            "-h",
            "help",
            "address --help",
            "lookup -h",
            "node-name --family 4 -h",
        ] {
            assert_eq!(parsed(line), Ok(Command::Help), "{line}");
        }
        for line in ["--version", "-V"] {
            assert_eq!(parsed(line), Ok(Command::Version), "{line}");
        }
    }

    #[test]
    fn what_makes_no_sense() {
        for (line, sentence) in [
            ("", "say what to do: node-name, address or lookup"),
            ("nodename", "unknown command \"nodename\""),
            ("--query a", "invalid option '--query'"),
            ("address --what", "invalid option '--what'"),
            ("address -x", "invalid option '-x'"),
            ("address app", "unexpected argument \"app\""),
            ("address --query", "missing argument for option '--query'"),
            (
                "address --basename a@b",
                "--basename: \"a@b\" is not one to 200 letters, digits, _ or -",
            ),
            ("address --family 5", "--family is 4 or 6, got: \"5\""),
            (
                "address --timeout 0",
                "--timeout is milliseconds, up to a day of them, got: \"0\"",
            ),
            (
                "address --timeout 5s",
                "--timeout is milliseconds, up to a day of them, got: \"5s\"",
            ),
            (
                "address --timeout 86400001",
                "--timeout is milliseconds, up to a day of them, got: \"86400001\"",
            ),
            ("lookup", "lookup what? Give a name"),
            ("lookup a b", "unexpected argument \"b\""),
            (
                "lookup a..b",
                "\"a..b\" is no name one can ask for: a label is empty",
            ),
            (
                "lookup *@app.internal",
                "\"*@app.internal\" is no name one can ask for: contains a character other than letters, digits, - and _; of *@app.internal, look up app.internal",
            ),
            (
                "lookup a@b@c",
                "\"a@b@c\" is no name one can ask for: contains a character other than letters, digits, - and _",
            ),
            (
                "lookup a --type mx",
                "--type is a, aaaa or srv, got: \"mx\"",
            ),
            (
                "lookup a --nameserver ns.internal",
                "--nameserver is an IP address, or address:port, got: \"ns.internal\"",
            ),
            (
                "lookup a --nameserver 10.0.0.2:0",
                "--nameserver is an IP address, or address:port, got: \"10.0.0.2:0\"",
            ),
        ] {
            let expected = format!("dns_mesh: {sentence}\nTry: dns_mesh --help\n");
            assert_eq!(parsed(line), Err(expected), "{line}");
        }
        for which in [
            "eth0",
            "interface:",
            "subnet:10.0.0.0/33",
            "subnet:",
            "env:",
            "env:A=B",
            "fe80::1%eth0",
            "10.0.0",
        ] {
            let message = parsed(&format!("address --address {which}")).unwrap_err();
            assert!(
                message.contains("--address is an IP address, interface:NAME,"),
                "{message}"
            );
        }
    }

    #[cfg(unix)]
    #[test]
    fn arguments_that_are_no_text() {
        let bytes: OsString = std::os::unix::ffi::OsStringExt::from_vec(b"a\xff".to_vec());
        assert!(parse(["lookup".into(), bytes]).is_err());
    }
}
