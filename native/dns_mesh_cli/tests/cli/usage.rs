//! Help, version, and what makes no sense.

use std::fs::File;
use std::process::Command;

use crate::program::program;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn help_names_everything() {
    let help = program("--help").run();
    assert_eq!((help.status, &*help.err), (0, ""));
    for word in [
        "node-name",
        "address",
        "lookup NAME",
        "--basename",
        "--query",
        "--address",
        "--family",
        "--timeout",
        "--type",
        "--nameserver",
        "--help",
        "--version",
        "DNS_CLUSTER_QUERY",
        "RELEASE_NAME",
        "POD_IP",
        "ERL_AFLAGS",
        "Exit status: 0 found; 1 not found; 2 wrong usage",
    ] {
        assert!(help.out.contains(word), "{word}");
    }
    let widest = help.out.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(88), "{widest:?}");
    program("lookup --help").prints(&help.out);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn version() {
    program("--version").prints(concat!("dns_mesh ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_usage_is_2() {
    for (line, words) in [
        ("", "say what to do"),
        ("nodename", "unknown command \"nodename\""),
        ("address --port 1", "invalid option '--port'"),
        ("address --query a,b@@c", "\"b@@c\""),
        ("address --address eth0", "interface:NAME"),
        ("address --query **@b", "holds more than one *"),
        ("address --query dir:", "write dir:/path"),
        ("lookup a..b", "a label is empty"),
        ("lookup *@app.internal", "look up app.internal"),
        (
            "node-name --basename a@b",
            "\"a@b\" is not one to 200 letters, digits, _ or -",
        ),
        ("node-name", "give a --basename, or set RELEASE_NAME"),
    ] {
        let ended = program(line).fails(2, &[words]);
        assert!(
            ended.err.ends_with("Try: dns_mesh --help\n"),
            "{}",
            ended.err
        );
    }
    let query = program("address").env("DNS_CLUSTER_QUERY", "not a name");
    query.fails(2, &["DNS_CLUSTER_QUERY", "\"not a name\""]);
    program("node-name")
        .env("RELEASE_NAME", "my.app")
        .fails(2, &["RELEASE_NAME", "--basename"]);
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_nobody_gets_is_not_success() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dns_mesh"));
    let full = File::options().write(true).open("/dev/full").unwrap();
    let status = command.arg("--help").stdout(full).status().unwrap();
    assert_eq!(status.code(), Some(1));
}
