//! Bounds on what one process sends and keeps. A test program of its own, because the wire
//! permits belong to the whole process and these tests use them up.

#[allow(dead_code)] // written for the other test program, which needs all of it
mod support;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dns_mesh::probe::AT_ONCE;
use dns_mesh::{Door, EpmdFault, Family, NoHost, Reason, Silent, Target, TargetHost, Verdict};
use support::epmd::{Peer, names, say};
use support::records::{cname, ip, many, ptr};
use support::scene::{HOSTS, REGISTERED, Scene, ips, reason};
use support::server::{Question, Reply, Server};
use tokio::task::JoinSet;

/// The other tests of this file would wait for the permits as well.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[tokio::test]
async fn two_hundred_lookups_at_a_silent_server_end_by_the_deadline() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let silent = Server::silent().await;
    let scene = Arc::new(Scene::new(&[&silent]));
    let timeout = Duration::from_secs(2);
    let mut lookups = JoinSet::new();
    for n in 0..200 {
        let scene = scene.clone();
        lookups.spawn(async move {
            let began = Instant::now();
            let outcome = scene.a_within(&format!("app{n}.internal"), timeout).await;
            (reason(outcome), began.elapsed())
        });
    }

    let names = || silent.names().into_iter().collect::<HashSet<_>>().len();
    silent.saw(64).await;
    // Until a datagram of each has been sent again: nobody else gets a turn meanwhile.
    silent.saw(128).await;
    assert_eq!(names(), 64);

    while let Some(ended) = lookups.join_next().await {
        let (reason, took) = ended.unwrap();
        assert_eq!(reason, Reason::Timeout);
        assert!(took >= timeout && took < timeout * 4, "{took:?}");
    }
}

/// Each of them holds a permit for the silent server when it wants one for the other.
#[tokio::test]
async fn two_hundred_lookups_get_past_a_silent_first_server() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let silent = Server::silent().await;
    let alive =
        Server::start(|question| question.answer(vec![ip(&question.name, "10.0.0.1")])).await;
    let scene = Arc::new(Scene::new(&[&silent, &alive]));
    let mut lookups = JoinSet::new();
    for n in 0..200 {
        let scene = scene.clone();
        lookups.spawn(async move { ips(scene.a(&format!("app{n}.internal")).await) });
    }
    while let Some(found) = lookups.join_next().await {
        assert_eq!(found.unwrap(), ["10.0.0.1"]);
    }
}

#[tokio::test]
async fn lookups_wait_for_a_permit_and_are_all_answered() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let server =
        Server::start(|question| question.answer(vec![ip(&question.name, "10.0.0.1")])).await;
    let scene = Arc::new(Scene::new(&[&server]));
    let mut lookups = JoinSet::new();
    for n in 0..500 {
        let scene = scene.clone();
        lookups.spawn(async move { ips(scene.a(&format!("app{n}.internal")).await) });
    }
    while let Some(found) = lookups.join_next().await {
        assert_eq!(found.unwrap(), ["10.0.0.1"]);
    }
}

/// A message of 64 KiB holds more than 4 096 records only when their owner takes one byte:
/// the root, to which an alias leads.
#[tokio::test]
async fn records_beyond_4096_are_dropped_and_it_is_told() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let server = Server::start(|question| match question.tcp {
        true => {
            let mut records = vec![cname(&question.name, ".")];
            records.extend(many(
                ".",
                if question.name == "app" { 4_300 } else { 4_096 },
            ));
            question.answer(records)
        }
        false => question.truncated(),
    })
    .await;
    let scene = Scene::new(&[&server]);
    for (name, truncated) in [("app", true), ("fits", false)] {
        let answer = scene.a(name).await.unwrap();
        assert_eq!(answer.truncated, truncated, "{name}");
        assert_eq!(ips(Ok(answer)).len(), 4_096);
    }
}

/// The addresses of app.internal: 127.0.1.1, 127.0.1.2, …
fn host(n: usize) -> String {
    format!("127.0.1.{n}")
}

/// More than a datagram takes.
fn all_hosts(question: &Question) -> Reply {
    if !question.tcp {
        return question.truncated();
    }
    let hosts = (1..=200).map(|n| ip("app.internal", &host(n)));
    question.answer(hosts.collect())
}

/// Those that answer come last: each of them waits behind silent ones.
#[tokio::test]
async fn ten_hosts_are_named_behind_190_whose_names_nobody_tells() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let server = Server::start(|question| {
        let name = &question.name;
        if name == "app.internal" {
            return all_hosts(question);
        }
        if let Some(n) = name.strip_suffix(".host.internal") {
            return question.answer(vec![ip(name, &host(n.parse().unwrap()))]);
        }
        match name.split('.').next().unwrap().parse().unwrap() {
            0..=190 => Reply::Silence,
            n => question.answer(vec![ptr(name, &format!("{n}.host.internal"))]),
        }
    })
    .await;
    let scene = Scene::new(&[&server]);
    let timeout = Duration::from_secs(5);
    let began = Instant::now();
    let answer = scene
        .follow("app.internal", Family::Inet, HOSTS, timeout)
        .await
        .unwrap();
    let took = began.elapsed();
    assert!(took < timeout + Duration::from_secs(1), "{took:?}");
    assert_eq!(answer.hosts.len(), 200);
    for n in 1..=200 {
        let expected = match n {
            0..=190 => Err(NoHost::Lookup(Reason::Timeout)),
            n => Ok(format!("{n}.host.internal")),
        };
        assert_eq!(answer.hosts[&host(n).parse().unwrap()], expected, "{n}");
    }
}

#[tokio::test]
async fn ten_epmds_are_heard_behind_190_silent_ones_and_no_connection_is_left() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let first = Peer::start_at("127.0.1.200:0".parse().unwrap(), say(&names(&[("app", 1)]))).await;
    let mut peers = Vec::new();
    for n in 191..200 {
        peers.push(first.beside(&host(n), say(&names(&[("app", 1)]))).await);
    }
    // The kernel accepts for them, and they never look.
    let silent = |n| std::net::TcpListener::bind((host(n), first.port())).unwrap();
    let _silent = (1..=190).map(silent).collect::<Vec<_>>();
    let server = Server::start(all_hosts).await;

    let scene = Scene::with_epmd(&server, first.port());
    let timeout = Duration::from_secs(5);
    let began = Instant::now();
    let lookup = scene.follow("app.internal", Family::Inet, REGISTERED, timeout);
    let (outcome, most) = with_most_connections(first.port(), lookup).await;
    let took = began.elapsed();
    assert!(took < timeout + Duration::from_secs(1), "{took:?}");
    assert!(most <= 64, "{most}");
    assert_eq!(connections(first.port()), 0);

    let answer = outcome.unwrap();
    assert_eq!(answer.registered.len(), 200);
    for n in 1..=200 {
        let expected = match n {
            0..=190 => Err(EpmdFault::Silent),
            _ => Ok(vec!["app".to_string()]),
        };
        assert_eq!(
            answer.registered[&host(n).parse().unwrap()],
            expected,
            "{n}"
        );
    }
}

#[tokio::test]
async fn ten_nodes_are_found_among_190_silent_ones_and_no_connection_is_left() {
    let _alone = ONE_AT_A_TIME.lock().await;
    // The kernel accepts for them, and they never look: silent epmds, and open distribution ports.
    let first = std::net::TcpListener::bind((host(1), 0)).unwrap();
    let port = first.local_addr().unwrap().port();
    let others = (2..=190).map(|n| std::net::TcpListener::bind((host(n), port)).unwrap());
    let _others = others.collect::<Vec<_>>();
    let at = |n, door| Target {
        host: TargetHost::Ip(host(n).parse().unwrap()),
        door,
    };
    let silent = (1..=190).map(|n| at(n, Door::Epmd("app".into())));
    let open = (1..=10).map(|n| at(n, Door::Port(port)));
    let targets = silent.chain(open).collect::<Vec<_>>();
    let server = Server::silent().await;
    let scene = Scene::with_epmd(&server, port);

    for seconds in [8, 2] {
        let timeout = Duration::from_secs(seconds);
        let began = Instant::now();
        let probe = scene.resolver.probe(&targets, timeout);
        let (verdicts, most) = with_most_connections(port, probe).await;
        let took = began.elapsed();
        assert!(took < timeout + Duration::from_secs(1), "{took:?}");
        assert!(most <= AT_ONCE, "{most}");
        assert_eq!(connections(port), 0);

        let (silent, open) = verdicts.split_at(190);
        let count = |wanted| silent.iter().filter(|&&verdict| verdict == wanted).count();
        let tried = count(Verdict::Silent(Silent::Epmd));
        let not_tried = count(Verdict::Silent(Silent::NotTried));
        assert_eq!(tried + not_tried, 190);
        // Twelve waves of 16; there is no time for as many of 300 ms in two seconds.
        match seconds {
            8 => {
                assert_eq!(not_tried, 0);
                assert!(
                    open.iter().all(|one| matches!(one, Verdict::Ok(_))),
                    "{open:?}"
                );
            }
            _ => assert!((4 * AT_ONCE..190).contains(&tried), "{tried}"),
        }
    }
}

/// The connections to `port` that somebody has open, those that wait for an answer among them.
fn connections(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let remote = format!(":{port:04X}");
    let open = table.lines().skip(1).filter_map(|line| {
        let words = line.split_whitespace().collect::<Vec<_>>();
        // Connecting, connected, or closed by the peer only: all that is not yet closed by us.
        let is_open = ["02", "01", "08"].contains(&words[3]);
        (words[2].ends_with(&remote) && is_open).then_some((words[1], words[2]))
    });
    // The kernel lists one twice when others end while it is read.
    open.collect::<HashSet<_>>().len()
}

/// What comes of `work`, and the most connections to `port` that were seen meanwhile.
async fn with_most_connections<T>(port: u16, work: impl Future<Output = T>) -> (T, usize) {
    let mut most = 0;
    let mut work = std::pin::pin!(work);
    loop {
        most = most.max(connections(port));
        match tokio::time::timeout(Duration::from_millis(100), &mut work).await {
            Ok(done) => return (done, most),
            Err(_) => continue,
        }
    }
}
