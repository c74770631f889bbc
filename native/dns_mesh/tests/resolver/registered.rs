//! From the addresses of an answer to what their epmds have registered.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use dns_mesh::epmd::MAX_REPLY;
use dns_mesh::{Answer, EpmdFault, Family};

use crate::support::epmd::{Peer, Script, names, say};
use crate::support::records::ip;
use crate::support::scene::{LONG, REGISTERED, Scene, ips};
use crate::support::server::{Server, closed_port};

/// What the VM waits beyond the deadline.
const GRACE: Duration = Duration::from_secs(1);

const NAMES_REQUEST: &[u8] = b"n";

type Registered = Result<Vec<String>, EpmdFault>;

/// What the peer at 127.0.0.1 has, as a lookup finds it.
async fn registered(peer: &Peer, timeout: Duration) -> Registered {
    let server = Server::silent().await;
    let scene = Scene::with_epmd(&server, peer.port());
    let host = peer.address.ip().to_string();
    let family = Family::of(peer.address.ip());
    let answer = scene.follow(&host, family, REGISTERED, timeout).await;
    at(&answer.unwrap(), &host)
}

fn at(answer: &Answer, host: &str) -> Registered {
    answer.registered[&host.parse::<IpAddr>().unwrap()].clone()
}

fn just(names: &[&str]) -> Registered {
    Ok(names.iter().map(ToString::to_string).collect())
}

#[tokio::test]
async fn the_names_of_each_address() {
    let one = Peer::start(say(&names(&[("worker", 40002), ("app", 40001)]))).await;
    let two = one
        .beside("127.0.0.2", say(&names(&[("app", 40003)])))
        .await;
    let none = one.beside("127.0.0.3", say(&names(&[]))).await;
    let server = Server::start(|question| {
        question.answer(
            (1..=4)
                .map(|n| ip("app.internal", &format!("127.0.0.{n}")))
                .collect(),
        )
    })
    .await;
    let answer = Scene::with_epmd(&server, one.port())
        .registered_at("app.internal")
        .await
        .unwrap();
    assert_eq!(at(&answer, "127.0.0.1"), just(&["app", "worker"]));
    assert_eq!(at(&answer, "127.0.0.2"), just(&["app"]));
    assert_eq!(at(&answer, "127.0.0.3"), just(&[]));
    assert_eq!(at(&answer, "127.0.0.4"), Err(EpmdFault::Refused));
    assert!(answer.hosts.is_empty());
    assert_eq!(ips(Ok(answer)).len(), 4);
    for peer in [&one, &two, &none] {
        assert_eq!(peer.asked(), [NAMES_REQUEST]);
    }
}

#[tokio::test]
async fn an_ipv6_host_too() {
    let address = "[::1]:0".parse().unwrap();
    let peer = Peer::start_at(address, say(&names(&[("app", 40001)]))).await;
    assert_eq!(registered(&peer, LONG).await, just(&["app"]));
}

#[tokio::test]
async fn a_reply_may_come_in_pieces() {
    let reply = names(&[("app", 40001), ("worker", 40002)]);
    for at in [1, 4, 10, reply.len() - 1] {
        let (head, tail) = reply.split_at(at);
        let peer = Peer::start(Script::Say(vec![head.to_vec(), tail.to_vec()])).await;
        assert_eq!(
            registered(&peer, LONG).await,
            just(&["app", "worker"]),
            "{at}"
        );
    }
}

#[tokio::test]
async fn what_is_no_epmd_is_garbled() {
    let long = [names(&[]), vec![b'a'; 2 * MAX_REPLY]].concat();
    let endless = "name app at port 40001\n".repeat(MAX_REPLY / 10);
    let mut cut = names(&[("app", 40001), ("worker", 40002)]);
    cut.truncate(cut.len() - 3);
    for reply in [
        &b""[..],
        b"\0\0",
        b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        &long,
        &[names(&[]), endless.into_bytes()].concat(),
        &cut,
    ] {
        let peer = Peer::start(say(reply)).await;
        assert_eq!(
            registered(&peer, LONG).await,
            Err(EpmdFault::Garbled),
            "{:?}",
            &reply[..reply.len().min(40)]
        );
    }
}

#[tokio::test]
async fn a_reply_without_an_end_is_not_read_to_the_deadline() {
    let line = [names(&[]), b"name app at port 40001\n".repeat(1000)].concat();
    let peer = Peer::start(Script::Flood(line)).await;
    let began = Instant::now();
    assert_eq!(registered(&peer, LONG).await, Err(EpmdFault::Garbled));
    assert!(began.elapsed() < Duration::from_secs(3));
}

/// A load balancer without a backend does so.
#[tokio::test]
async fn a_connection_that_is_closed_or_reset_without_a_word_is_no_silence() {
    let peer = Peer::start(Script::HangUp).await;
    let began = Instant::now();
    assert_eq!(registered(&peer, LONG).await, Err(EpmdFault::Garbled));
    assert!(began.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn silence_ends_at_the_deadline() {
    let half = Script::SayAndStay(names(&[("app", 40001)]));
    for script in [Script::Hang, half] {
        let peer = Peer::start(script).await;
        let timeout = Duration::from_millis(400);
        let began = Instant::now();
        assert_eq!(registered(&peer, timeout).await, Err(EpmdFault::Silent));
        let took = began.elapsed();
        assert!(took >= timeout && took < timeout + GRACE, "{took:?}");
    }
}

#[tokio::test]
async fn nobody_listening_is_known_at_once() {
    let server = Server::silent().await;
    let scene = Scene::with_epmd(&server, closed_port().await.port());
    let began = Instant::now();
    let answer = scene.registered_at("127.0.0.1").await.unwrap();
    assert_eq!(at(&answer, "127.0.0.1"), Err(EpmdFault::Refused));
    assert!(began.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn an_address_nobody_can_connect_to_says_so() {
    let server = Server::silent().await;
    let scene = Scene::with_epmd(&server, 4369);
    let answer = scene.registered_at("255.255.255.255").await.unwrap();
    let outcome = at(&answer, "255.255.255.255");
    assert!(
        matches!(&outcome, Err(EpmdFault::Unreachable(text)) if !text.is_empty()),
        "{outcome:?}"
    );
}

/// A lookup whose caller lost interest leaves no connection behind.
#[tokio::test]
async fn a_dropped_lookup_hangs_up() {
    use tokio::io::AsyncReadExt;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server::silent().await;
    let scene = Scene::with_epmd(&server, listener.local_addr().unwrap().port());
    let mut stream = tokio::select! {
        _ = scene.registered_at("127.0.0.1") => panic!("nobody answers"),
        accepted = listener.accept() => accepted.unwrap().0,
    };
    let mut seen = Vec::new();
    let end = tokio::time::timeout(LONG, stream.read_to_end(&mut seen)).await;
    assert!(end.is_ok(), "still connected");
}
