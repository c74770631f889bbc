//! What the environment says where the command line does not.

use dns_mesh::{AddressOption, Family, Request, check_basename};

use crate::args::{self, Own, Which};
use crate::failure::Failure;
use crate::own::Job;
use crate::query::{self, Item};

/// Where platforms write a machine's own address, the surest first. The same list is in
/// DNSMesh's Elixir half.
const HINTS: [&str; 4] = [
    "POD_IP",
    "MY_POD_IP",
    "FLY_PRIVATE_IP",
    "RENDER_INTERNAL_IP",
];

/// Where the nodes of this machine are, whose names its epmd knows: no server is asked for them.
const LOOPBACK: [&str; 2] = ["127.0.0.1", "::1"];

/// Where flags for the VM are, in the order in which it reads them.
const FLAGS: [&str; 4] = [
    "ERL_AFLAGS",
    "ELIXIR_ERL_OPTIONS",
    "ERL_FLAGS",
    "ERL_ZFLAGS",
];

/// An environment variable; one that is empty counts as one that is not set.
pub(crate) fn variable(name: &str) -> Option<String> {
    let value = std::env::var_os(name)?.to_string_lossy().into_owned();
    (!value.is_empty()).then_some(value)
}

type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

const BASENAME: &str = "DNS_MESH_BASENAME";
const ADDRESS: &str = "DNS_MESH_ADDRESS";

/// What stands for options that are absent. DNSMesh's Elixir half reads the same.
fn with_variables(own: Own, variable: Variables<'_>) -> Result<Own, Failure> {
    let basename = match own.basename {
        Some(basename) => Some(basename),
        None => variable(BASENAME)
            .map(|text| args::basename(BASENAME, &text))
            .transpose()?,
    };
    let address = match own.address {
        Some(which) => Some(which),
        None => variable(ADDRESS)
            .map(|text| args::which(ADDRESS, &text))
            .transpose()?,
    };
    Ok(Own {
        basename,
        address,
        ..own
    })
}

/// The text before the `@`.
pub(crate) fn basename(own: &Own, variable: Variables<'_>) -> Result<String, Failure> {
    if let Some(basename) = &own.basename {
        return Ok(basename.clone());
    }
    if let Some(text) = variable(BASENAME) {
        return args::basename(BASENAME, &text);
    }
    let release = variable("RELEASE_NAME").ok_or_else(|| {
        Failure::usage(format!(
            "give a --basename, or set RELEASE_NAME or {BASENAME}"
        ))
    })?;
    match check_basename(release.as_bytes()) {
        Ok(_) => Ok(release),
        Err(bad) => Err(Failure::usage(format!(
            "RELEASE_NAME: {bad}; give a --basename, or set {BASENAME}"
        ))),
    }
}

fn items(own: &Own, variable: Variables<'_>) -> Result<Vec<Item>, Failure> {
    let items = match (&own.query, variable("DNS_CLUSTER_QUERY")) {
        (Some(query), _) => query::parse(query, "--query"),
        (None, Some(query)) => query::parse(&query, "DNS_CLUSTER_QUERY"),
        (None, None) => Ok(vec![]),
    };
    items.map_err(Failure::usage)
}

/// Everything that `node-name` and `address` go by.
pub(crate) fn own_job(own: Own, variable: Variables<'_>) -> Result<Job, Failure> {
    let own = with_variables(own, variable)?;
    let items = items(&own, variable)?;
    let basename = own.basename.or_else(|| variable("RELEASE_NAME"));
    let hosts = |ours| {
        let items = items.iter().cloned();
        items.flat_map(|item| hosts_of(item, ours)).collect()
    };
    Ok(Job {
        hosts: hosts(basename.as_deref()),
        others: hosts(None),
        request: Request {
            option: own
                .address
                .map(|which| option(which, variable))
                .transpose()?,
            family: own.family.or_else(|| family(variable)),
            answers: vec![],
            hints: HINTS.into_iter().filter_map(variable).collect(),
        },
        nameservers: own.nameservers,
        timeout: own.timeout,
    })
}

/// What an item has to say about this node's address: the hosts to ask for.
///
/// The nodes of another basename need not be where this one is. A folder may be on a server that
/// is silent, with entries of days ago, and nobody waits for one here: where its entries alone
/// could decide, DNSMesh names the node once it runs.
fn hosts_of(item: Item, ours: Option<&str>) -> Vec<String> {
    match item {
        Item::Host { basename, host } => match (basename, ours) {
            (Some(theirs), Some(ours)) if !query::matches(&theirs, ours) => vec![],
            (Some(pattern), _) if pattern.contains('*') && query::is_localhost(&host) => {
                LOOPBACK.map(Into::into).into()
            }
            _ => vec![host],
        },
        Item::Folder => vec![],
    }
}

fn option(which: Which, variable: Variables<'_>) -> Result<AddressOption, Failure> {
    let name = match which {
        Which::Option(option) => return Ok(option),
        Which::Variable(name) => name,
    };
    let value = variable(&name)
        .ok_or_else(|| Failure::not_found(format!("{name}, which --address names, is not set")))?;
    match value.trim().parse() {
        Ok(ip) => Ok(AddressOption::Literal(ip)),
        Err(_) => Err(Failure::not_found(format!(
            "{name}, which --address names, holds no IP address: {value:?}"
        ))),
    }
}

/// The IP version that the VM's distribution will speak: of the first `-proto_dist`, as in OTP.
pub(crate) fn family(variable: Variables<'_>) -> Option<Family> {
    match flag("-proto_dist", variable)? {
        proto if proto.starts_with("inet6_") => Some(Family::Inet6),
        proto if proto.starts_with("inet_") => Some(Family::Inet),
        _ => None,
    }
}

/// What stands behind a flag for the VM.
fn flag(name: &str, variable: Variables<'_>) -> Option<String> {
    let flags = FLAGS
        .into_iter()
        .filter_map(variable)
        .collect::<Vec<_>>()
        .join(" ");
    let mut words = flags
        .split_whitespace()
        .map(|word| word.trim_matches(['"', '\'']));
    words.find(|&word| word == name)?;
    words.next().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{self, Command};

    fn environment(pairs: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        let pairs = pairs
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()));
        let pairs = pairs.collect::<std::collections::HashMap<_, _>>();
        move |name| pairs.get(name).cloned()
    }

    fn own(line: &str) -> Own {
        match args::parse(line.split(' ').filter(|word| !word.is_empty())) {
            Ok(Command::NodeName(own)) => own,
            other => panic!("{other:?}"),
        }
    }

    fn job(line: &str, pairs: &[(&str, &str)]) -> Result<Job, String> {
        own_job(own(line), &environment(pairs)).map_err(|failure| failure.to_string())
    }

    #[test]
    fn the_query() {
        let hosts = |line, pairs: &[_]| job(line, pairs).unwrap().hosts;
        let set = ("DNS_CLUSTER_QUERY", "app.internal,b.internal");
        assert_eq!(hosts("node-name", &[set]), ["app.internal", "b.internal"]);
        assert_eq!(hosts("node-name --query c", &[set]), ["c"]);
        assert_eq!(hosts("node-name", &[]), [""; 0]);
        assert!(
            job("node-name", &[("DNS_CLUSTER_QUERY", "a b")])
                .unwrap_err()
                .contains("DNS_CLUSTER_QUERY")
        );
        assert!(
            job("node-name --query a@@b", &[])
                .unwrap_err()
                .contains("--query")
        );
    }

    #[test]
    fn items_of_other_basenames_do_not_count() {
        let query = ("DNS_CLUSTER_QUERY", "worker@jobs,web@front,all");
        let hosts = |line, pairs: &[_]| job(line, pairs).unwrap().hosts;
        assert_eq!(
            hosts("node-name --basename web", &[query]),
            ["front", "all"]
        );
        assert_eq!(
            hosts("node-name", &[query, ("RELEASE_NAME", "worker")]),
            ["jobs", "all"]
        );
        assert_eq!(hosts("node-name", &[query]), ["jobs", "front", "all"]);
    }

    #[test]
    fn patterns_count_where_they_stand_for_our_basename() {
        let query = ("DNS_CLUSTER_QUERY", "app-*@jobs,*@all");
        let hosts = |line| job(line, &[query]).unwrap().hosts;
        assert_eq!(hosts("node-name --basename app-7"), ["jobs", "all"]);
        assert_eq!(hosts("node-name --basename web"), ["all"]);
        assert_eq!(hosts("node-name"), ["jobs", "all"]);
    }

    #[test]
    fn patterns_at_localhost_are_for_this_machine() {
        let hosts = |query| {
            job("node-name", &[("DNS_CLUSTER_QUERY", query)])
                .unwrap()
                .hosts
        };
        assert_eq!(hosts("*@localhost"), ["127.0.0.1", "::1"]);
        assert_eq!(hosts("app-*@LocalHost.,b"), ["127.0.0.1", "::1", "b"]);
        assert_eq!(hosts("app@localhost,localhost"), ["localhost", "localhost"]);
        assert_eq!(hosts("*@localhost.lan"), ["localhost.lan"]);
    }

    #[test]
    fn a_folder_is_not_asked_for() {
        let hosts = |query| {
            job("node-name", &[("DNS_CLUSTER_QUERY", query)])
                .unwrap()
                .hosts
        };
        assert_eq!(hosts("dir:/shared/nodes"), [""; 0]);
        assert_eq!(hosts("dir:/shared/nodes,app.internal"), ["app.internal"]);
    }

    #[test]
    fn the_basename() {
        let ours = |line, pairs: &[_]| {
            basename(&own(line), &environment(pairs)).map_err(|failure| failure.to_string())
        };
        let release = ("RELEASE_NAME", "shop");
        assert_eq!(ours("node-name", &[release]).unwrap(), "shop");
        assert_eq!(ours("node-name --basename app", &[release]).unwrap(), "app");
        assert!(
            ours("node-name", &[])
                .unwrap_err()
                .contains("set RELEASE_NAME")
        );
        assert!(
            ours("node-name", &[("RELEASE_NAME", "a b")])
                .unwrap_err()
                .contains("RELEASE_NAME: \"a b\"")
        );
    }

    #[test]
    fn the_family() {
        for (pairs, expected) in [
            (&[][..], None),
            (
                &[("ERL_AFLAGS", "-proto_dist inet6_tcp")],
                Some(Family::Inet6),
            ),
            (
                &[("ERL_FLAGS", "-kernel x 1 -proto_dist inet6_tls -y")],
                Some(Family::Inet6),
            ),
            (
                &[("ERL_ZFLAGS", "-proto_dist inet_tls")],
                Some(Family::Inet),
            ),
            (
                &[("ELIXIR_ERL_OPTIONS", "+fnu -proto_dist 'inet6_tcp'")],
                Some(Family::Inet6),
            ),
            (&[("ERL_AFLAGS", "-proto_dist my_own")], None),
            (&[("ERL_AFLAGS", "-proto_dist")], None),
            (&[("ERL_AFLAGS", "-proto_distinct inet6_tcp")], None),
            (
                &[
                    ("ERL_AFLAGS", "-proto_dist inet_tcp"),
                    ("ERL_FLAGS", "-proto_dist inet6_tcp"),
                ],
                Some(Family::Inet),
            ),
        ] {
            assert_eq!(family(&environment(pairs)), expected, "{pairs:?}");
        }
        let flags = ("ERL_AFLAGS", "-proto_dist inet6_tcp");
        let family = |line| job(line, &[flags]).unwrap().request.family;
        assert_eq!(family("node-name"), Some(Family::Inet6));
        assert_eq!(family("node-name --family 4"), Some(Family::Inet));
    }

    #[test]
    fn the_address() {
        let literal = Some(AddressOption::Literal([10, 0, 0, 5].into()));
        let pod = ("POD_IP", "10.0.0.5");
        assert_eq!(
            job("node-name --address env:POD_IP", &[pod])
                .unwrap()
                .request
                .option,
            literal
        );
        assert_eq!(
            job("node-name --address 10.0.0.5", &[])
                .unwrap()
                .request
                .option,
            literal
        );
        assert_eq!(job("node-name", &[pod]).unwrap().request.option, None);
        let message = |pairs| job("node-name --address env:POD_IP", pairs).unwrap_err();
        assert_eq!(
            message(&[]),
            "dns_mesh: POD_IP, which --address names, is not set\n"
        );
        assert!(message(&[("POD_IP", "ten")]).contains("holds no IP address: \"ten\""));
    }

    /// The same table is played on DNSMesh's Elixir half.
    #[test]
    fn variables_that_stand_for_options() {
        let table = include_str!("../tests/variables.txt").lines();
        let cases = table.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let mut played = 0;
        for case in cases {
            let (name, rest) = case.split_once(" \"").unwrap();
            let (value, meaning) = rest.rsplit_once("\" = ").unwrap();
            let all = [(name, value), ("RELEASE_NAME", "web")];
            let variable = environment(&all);
            let own = with_variables(own("node-name"), &variable);
            let told = match own {
                Ok(own) => own.basename.unwrap_or_else(|| text(own.address.unwrap())),
                Err(failure) => {
                    assert!(failure.to_string().contains(name), "{failure}");
                    assert_eq!(failure, job_failure(&all), "{case}");
                    "bad".into()
                }
            };
            assert_eq!(told, meaning, "{case}");
            played += 1;
        }
        assert!(played > 60);
    }

    fn text(which: Which) -> String {
        match which {
            Which::Option(AddressOption::Literal(ip)) => {
                format!("literal {}", dns_mesh::ip_text(ip))
            }
            Which::Option(AddressOption::Interface(name)) => format!("interface {name}"),
            Which::Option(AddressOption::Subnet(network)) => format!("subnet {network}"),
            Which::Variable(name) => format!("variable {name}"),
        }
    }

    /// It ends with what is wrong, and not with another name.
    fn job_failure(pairs: &[(&str, &str)]) -> Failure {
        own_job(own("node-name"), &environment(pairs)).unwrap_err()
    }

    #[test]
    fn an_option_is_before_its_variable() {
        let set = [
            ("DNS_MESH_BASENAME", "jobs"),
            ("DNS_MESH_ADDRESS", "10.0.0.5"),
            ("RELEASE_NAME", "web"),
            ("DNS_CLUSTER_QUERY", "jobs@a,web@b"),
        ];
        let ours = |line| basename(&own(line), &environment(&set)).unwrap();
        assert_eq!(ours("node-name"), "jobs");
        assert_eq!(ours("node-name --basename app"), "app");
        let job = job("node-name", &set).unwrap();
        assert_eq!(job.hosts, ["a"]);
        let literal = |ip: [u8; 4]| Some(AddressOption::Literal(ip.into()));
        assert_eq!(job.request.option, literal([10, 0, 0, 5]));
        let given = "node-name --basename web --address 10.0.0.6";
        let job = own_job(own(given), &environment(&set)).unwrap();
        assert_eq!(
            (job.request.option, job.hosts),
            (literal([10, 0, 0, 6]), vec!["b".into()])
        );
        // What is not needed is not looked at; empty is unset.
        let broken = [("DNS_MESH_BASENAME", "a b"), ("DNS_MESH_ADDRESS", "eth0")];
        assert!(own_job(own(given), &environment(&broken)).is_ok());
    }

    #[test]
    fn the_hints() {
        let all = [
            ("RENDER_INTERNAL_IP", "d"),
            ("MY_POD_IP", "b"),
            ("FLY_PRIVATE_IP", "c"),
            ("POD_IP", "a"),
        ];
        assert_eq!(
            job("node-name", &all).unwrap().request.hints,
            ["a", "b", "c", "d"]
        );
    }
}
