//! `dns_mesh node-name` and `dns_mesh address`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::RecordType;
use tokio::runtime::Builder;

use crate::namespace::inside;
use crate::program::program;
use crate::support::records::{ip, srv};
use crate::support::server::{Reply, Server};

/// A cluster on loopback, whose addresses every Linux has.
async fn server() -> Server {
    Server::start(|question| match (&*question.name, question.kind) {
        ("app.internal", RecordType::A) => question.answer(vec![ip("app.internal", "127.0.0.5")]),
        ("jobs.internal", RecordType::A) => question.answer(vec![ip("jobs.internal", "127.0.0.6")]),
        ("app.internal", RecordType::AAAA) => question.answer(vec![ip("app.internal", "::1")]),
        ("_epmd._tcp.app.internal", RecordType::SRV) => question.answer_with(
            vec![srv("_epmd._tcp.app.internal", 0, 0, 4369, "app-0.internal")],
            vec![ip("app-0.internal", "127.0.0.7")],
        ),
        ("app-0.internal", _) => question.none(ResponseCode::NoError, 5),
        _ => question.none(ResponseCode::NXDomain, 5),
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_address_in_the_answer() {
    let server = server().await;
    let line = "node-name --basename app --query app.internal --family 4";
    program(line).asking(&server).prints("app@127.0.0.5\n");
    program("address --query app.internal")
        .asking(&server)
        .prints("127.0.0.5\n");
    let service = "address --query _epmd._tcp.app.internal";
    program(service).asking(&server).prints("127.0.0.7\n");
    program("address --query 127.0.0.9")
        .asking(&server)
        .prints("127.0.0.9\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_from_the_environment() {
    let server = server().await;
    let release = |query| {
        let program = program("node-name")
            .env("RELEASE_NAME", "shop")
            .asking(&server);
        program.env("DNS_CLUSTER_QUERY", query)
    };
    release("app.internal").prints("shop@127.0.0.5\n");
    release("shop@jobs.internal,app.internal").prints("shop@127.0.0.6\n");
    // The nodes of another basename are elsewhere.
    release("other@jobs.internal,app.internal").prints("shop@127.0.0.5\n");
    release("other-*@app.internal,s*p@jobs.internal").prints("shop@127.0.0.6\n");
    release("dir:/no/such/folder,*@jobs.internal").prints("shop@127.0.0.6\n");
    // Nobody is asked for it.
    release("*@localhost").prints("shop@127.0.0.1\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_family_of_the_distribution() {
    let server = server().await;
    let line = "node-name --basename app --query app.internal";
    let node = program(line).env("ERL_AFLAGS", "-proto_dist inet6_tcp");
    node.asking(&server).prints("app@::1\n");
    let asked = server.seen();
    assert!(
        asked
            .iter()
            .all(|question| question.kind == RecordType::AAAA),
        "{asked:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_user_knows_better() {
    let server = server().await;
    let line = "node-name --basename app --query app.internal --address 127.0.0.77";
    program(line).asking(&server).prints("app@127.0.0.77\n");
    assert_eq!(server.names(), [""; 0], "then DNS need not be asked");
    program("address --address interface:lo --family 4").prints("127.0.0.1\n");
    program("address --address subnet:127.0.0.0/8").prints("127.0.0.1\n");
    let pod = || program("address --address env:POD_IP --timeout 300");
    pod().env("POD_IP", "127.0.0.8").prints("127.0.0.8\n");
    pod().finds_nothing(&["POD_IP, which --address names, is not set"]);
    pod()
        .env("POD_IP", "x")
        .finds_nothing(&["holds no IP address: \"x\""]);
    let foreign = program("address --address 192.0.2.251 --timeout 300");
    foreign.finds_nothing(&["192.0.2.251 is not an address of this machine"]);
    let other = program("address --address 127.0.0.1 --family 6");
    let ended = other.finds_nothing(&["127.0.0.1 is of the other IP version"]);
    assert!(
        ended.took < Duration::from_secs(3),
        "waiting would not help: {:?}",
        ended.took
    );
    let none = program("address --address interface:nope9 --timeout 300");
    none.finds_nothing(&["there is no interface nope9"]);
    let none = program("address --address subnet:192.0.2.248/29 --timeout 300");
    none.finds_nothing(&["no address that peers could use in 192.0.2.248/29"]);
}

const LOOPBACK: &str = "ip link set lo up";

const ONE_NETWORK: &str = "
    ip link set lo up
    ip link add v0 type veth peer name v1
    ip link set v0 up
    ip link set v1 up
    ip addr add 10.0.0.5/24 dev v0
    ip -6 addr add fd00::5/64 dev v0 nodad
";

const TWO_NETWORKS: &str = "
    ip link set lo up
    ip link add v0 type veth peer name v1
    ip link set v0 up
    ip link set v1 up
    ip addr add 10.0.0.5/24 dev v0
    ip addr add 10.1.0.5/24 dev v1
";

/// Runs a test in a network of its own, with a runtime for its server.
fn alone<F: Future<Output = ()>>(test: &str, script: &str, check: impl FnOnce() -> F) {
    inside(test, script, || {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        runtime.unwrap().block_on(check());
    });
}

#[test]
fn it_asks_until_it_is_in_the_answer() {
    alone(
        "own::it_asks_until_it_is_in_the_answer",
        LOOPBACK,
        || async {
            let count = Arc::new(AtomicUsize::new(0));
            let asked = count.clone();
            let server = Server::start(move |question| {
                if asked.fetch_add(1, Ordering::SeqCst) < 2 {
                    question.none(ResponseCode::NXDomain, 5)
                } else {
                    question.answer(vec![ip("app.internal", "127.0.0.5")])
                }
            })
            .await;
            let line = "address --query app.internal --family 4";
            program(line).asking(&server).prints("127.0.0.5\n");
            assert_eq!(count.load(Ordering::SeqCst), 3);
        },
    );
}

/// Each answer alone is undecided: one peer in each network.
#[test]
fn earlier_answers_are_remembered() {
    alone(
        "own::earlier_answers_are_remembered",
        TWO_NETWORKS,
        || async {
            let count = AtomicUsize::new(0);
            let server = Server::start(move |question| {
                let is_first = count.fetch_add(1, Ordering::SeqCst) == 0;
                let peer = if is_first { "10.1.0.7" } else { "10.1.0.8" };
                question.answer(vec![
                    ip(&question.name, "10.0.0.9"),
                    ip(&question.name, peer),
                ])
            })
            .await;
            let line = "address --query app.internal --family 4";
            program(line).asking(&server).prints("10.1.0.5\n");
        },
    );
}

#[test]
fn nothing_to_choose_by() {
    alone("own::nothing_to_choose_by", TWO_NETWORKS, || async {
        let server = server().await;
        let address = |more: &str| {
            let line = format!("address --query nope.internal --family 4 --timeout 600 {more}");
            program(&line).asking(&server)
        };
        let ended = address("").finds_nothing(&[
            "10.1.0.5 (v1), 10.0.0.5 (v0)",
            "--address",
            "nope.internal A: no such name (NXDOMAIN)",
        ]);
        assert!(ended.took < Duration::from_secs(4), "{:?}", ended.took);
        assert!(server.names().len() >= 2, "it asks again");
        address("").env("POD_IP", "10.1.0.5").prints("10.1.0.5\n");
        address("--address interface:v1").prints("10.1.0.5\n");
        address("--address subnet:10.0.0.0/16").prints("10.0.0.5\n");
        // Without a query there is nothing to wait for.
        let ended = program("address").finds_nothing(&["10.1.0.5 (v1), 10.0.0.5 (v0)"]);
        assert!(ended.took < Duration::from_secs(3), "{:?}", ended.took);
    });
}

#[test]
fn a_peer_in_the_answer_shows_the_way() {
    alone(
        "own::a_peer_in_the_answer_shows_the_way",
        TWO_NETWORKS,
        || async {
            let server =
                Server::start(|question| question.answer(vec![ip(&question.name, "10.1.0.9")]))
                    .await;
            let line = "node-name --basename app --query app.internal --family 4";
            program(line).asking(&server).prints("app@10.1.0.5\n");
        },
    );
}

/// Both families are asked, and IPv4 is enough: nobody waits for a silent AAAA.
#[test]
fn a_silent_aaaa_holds_nothing_up() {
    alone(
        "own::a_silent_aaaa_holds_nothing_up",
        TWO_NETWORKS,
        || async {
            let server = Server::start(|question| match question.kind {
                RecordType::A => question.answer(vec![ip(&question.name, "10.1.0.5")]),
                _ => Reply::Silence,
            })
            .await;
            let ended = program("address --query app.internal")
                .asking(&server)
                .run();
            assert_eq!((ended.status, &*ended.out), (0, "10.1.0.5\n"));
            assert!(
                ended.took < Duration::from_millis(1_500),
                "{:?}",
                ended.took
            );
        },
    );
}

/// An answer of a later item may be in first; it does not decide.
#[test]
fn the_first_item_decides_when_it_is_slower() {
    alone(
        "own::the_first_item_decides_when_it_is_slower",
        TWO_NETWORKS,
        || async {
            let server = Server::start(|question| match &*question.name {
                "first.internal" => Reply::After(
                    Duration::from_millis(300),
                    Box::new(question.answer(vec![ip("first.internal", "10.1.0.5")])),
                ),
                _ => question.answer(vec![ip(&question.name, "10.0.0.5")]),
            })
            .await;
            let line = "address --query first.internal,second.internal --family 4";
            program(line).asking(&server).prints("10.1.0.5\n");
        },
    );
}

/// A server that fails to say about IPv4 does not make a node an IPv6 one.
#[test]
fn ipv6_waits_for_word_about_ipv4() {
    alone(
        "own::ipv6_waits_for_word_about_ipv4",
        ONE_NETWORK,
        || async {
            let failures = AtomicUsize::new(0);
            let server = Server::start(move |question| match question.kind {
                RecordType::A if failures.fetch_add(1, Ordering::SeqCst) < 4 => {
                    question.code(ResponseCode::ServFail)
                }
                RecordType::A => question.answer(vec![ip("app.internal", "10.0.0.5")]),
                _ => question.answer(vec![ip("app.internal", "fd00::5")]),
            })
            .await;
            program("address --query app.internal")
                .asking(&server)
                .prints("10.0.0.5\n");

            let server = Server::start(|question| match question.kind {
                RecordType::A => question.code(ResponseCode::ServFail),
                _ => question.answer(vec![ip("app.internal", "fd00::5")]),
            })
            .await;
            let line = "address --query app.internal --timeout 600";
            program(line).asking(&server).prints("fd00::5\n");
        },
    );
}

#[test]
fn no_address_and_silence_until_the_deadline() {
    alone(
        "own::no_address_and_silence_until_the_deadline",
        LOOPBACK,
        || async {
            let silent = Server::silent().await;
            let line = "node-name --basename app --query app.internal --timeout 700";
            let ended = program(line).asking(&silent).finds_nothing(&[
                "no interface that is up has an address that peers could use",
                "app.internal A: no answer in time",
                "app.internal AAAA: no answer in time",
            ]);
            assert!(ended.took >= Duration::from_millis(400), "{:?}", ended.took);
            assert!(ended.took < Duration::from_secs(4), "{:?}", ended.took);
        },
    );
}

/// As without a query: the platform's word or the only address, and no wait for a better answer.
#[test]
fn a_folder_alone() {
    alone("own::a_folder_alone", TWO_NETWORKS, || async {
        let address = || program("address --query dir:/no/such/folder --family 4");
        address().env("POD_IP", "10.1.0.5").prints("10.1.0.5\n");
        let ended = address().finds_nothing(&["10.1.0.5 (v1), 10.0.0.5 (v0)"]);
        assert!(ended.took < Duration::from_secs(3), "{:?}", ended.took);
    });
}

/// With one address there is nothing to choose, in the end: while nobody answers, another one may
/// be about to come.
#[test]
fn no_dns_at_all() {
    alone("own::no_dns_at_all", ONE_NETWORK, || async {
        for query in [
            "app.internal",
            "other@app.internal",
            "10.0.0.9,app.internal",
        ] {
            let line = format!("node-name --basename app --family 4 --query {query} --timeout 700");
            let ended = program(&format!("{line} --nameserver 127.0.0.1:1")).run();
            // With an address that is written down the way to it decides.
            let is_waited_for = !query.starts_with("10");
            assert_eq!(
                (ended.status, &*ended.out),
                (0, "app@10.0.0.5\n"),
                "{query}"
            );
            let waited = ended.took >= Duration::from_millis(400);
            assert_eq!(waited, is_waited_for, "{query}: {:?}", ended.took);
        }
        // Nobody to ask.
        for query in ["dir:/no/such/folder", "10.0.0.5"] {
            let line = format!("node-name --basename app --query {query} --family 4");
            let ended = program(&line).run();
            assert_eq!(
                (ended.status, &*ended.out),
                (0, "app@10.0.0.5\n"),
                "{query}"
            );
            assert!(ended.took < Duration::from_secs(3), "{:?}", ended.took);
        }
    });
}

/// Any answer will do, also that there is nobody, or about another basename.
#[test]
fn the_only_address_waits_for_an_answer() {
    let test = "own::the_only_address_waits_for_an_answer";
    alone(test, ONE_NETWORK, || async {
        for query in [
            "app.internal",
            "silent.internal,app.internal",
            "other@app.internal",
        ] {
            let failures = AtomicUsize::new(0);
            let server = Server::start(move |question| match &*question.name {
                "silent.internal" => question.code(ResponseCode::ServFail),
                _ if failures.fetch_add(1, Ordering::SeqCst) < 4 => {
                    question.code(ResponseCode::ServFail)
                }
                _ => question.none(ResponseCode::NXDomain, 5),
            })
            .await;
            let line = format!("address --basename app --family 4 --query {query}");
            let ended = program(&line).asking(&server).run();
            assert_eq!((ended.status, &*ended.out), (0, "10.0.0.5\n"), "{query}");
            let asked = server.names();
            let asked = asked.iter().filter(|name| *name == "app.internal").count();
            assert_eq!(asked, 5, "{query}: it asks until there is an answer");
        }
    });
}

/// A container that is connected to its network after its start, whose servers are there.
#[test]
fn an_address_that_comes_late() {
    let script = format!("{TWO_NETWORKS}\nip addr del 10.1.0.5/24 dev v1");
    alone("own::an_address_that_comes_late", &script, || async {
        let questions = AtomicUsize::new(0);
        let server =
            Server::start(
                move |question| match questions.fetch_add(1, Ordering::SeqCst) {
                    0..4 => question.code(ResponseCode::ServFail),
                    4 => {
                        let add = ["addr", "add", "10.1.0.5/24", "dev", "v1"];
                        let added = std::process::Command::new("ip").args(add).status();
                        assert!(added.unwrap().success());
                        question.code(ResponseCode::ServFail)
                    }
                    _ => question.answer(vec![ip(&question.name, "10.1.0.5")]),
                },
            )
            .await;
        let line = "node-name --basename app --query app.internal --family 4";
        program(line).asking(&server).prints("app@10.1.0.5\n");
        program(line)
            .env("POD_IP", "10.0.0.5")
            .asking(&Server::start(|question| question.code(ResponseCode::ServFail)).await)
            .prints("app@10.0.0.5\n");
    });
}

#[test]
fn an_unreadable_resolv_conf() {
    let script = format!("{TWO_NETWORKS}\nmount -t tmpfs none /etc");
    alone("own::an_unreadable_resolv_conf", &script, || async {
        let address = program("address --query app.internal --family 4 --timeout 300");
        address.finds_nothing(&[
            "/etc/resolv.conf cannot be read (No such file or directory",
            "so 127.0.0.1 was asked",
            "app.internal A: the name server cannot be reached (Connection refused",
        ]);
        let lookup = program("lookup app.internal --timeout 300");
        lookup.finds_nothing(&["app.internal: ", "/etc/resolv.conf cannot be read"]);
        // Neither does it read what the VM would.
        for line in ["address --query app.internal", "lookup app.internal"] {
            program(&format!("{line} --timeout 300"))
                .env("ERL_INETRC", "/app/erl_inetrc")
                .finds_nothing(&["ERL_INETRC is set, and /app/erl_inetrc is read in the VM only"]);
        }
    });
}
