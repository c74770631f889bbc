//! Whether nodes could be joined: each verdict, the time it takes, and how many are tried at once.

#[path = "support/namespace.rs"]
mod namespace;
#[allow(dead_code)] // written for the other test program, which needs all of it
mod support;

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dns_mesh::probe::{AT_ONCE, STEP};
use dns_mesh::{Dead, Door, Family, Silent, Target, TargetHost, Verdict};
use futures_util::future::join;
use hickory_resolver::proto::op::ResponseCode;
use support::epmd::{Peer, Script, say};
use support::records::ip;
use support::scene::{LONG, Scene};
use support::server::{Reply, Server, closed_port};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

/// What the VM waits beyond the deadline.
const GRACE: Duration = Duration::from_secs(1);

/// What epmd says of a node at `port`, and of one it does not know.
fn node_at(port: u16) -> Vec<u8> {
    let [high, low] = port.to_be_bytes();
    [
        &[119, 0, high, low, 77, 0, 0, 6, 0, 5, 0, 3][..],
        b"app\0\0",
    ]
    .concat()
}

const UNKNOWN: &[u8] = &[119, 1];

fn at(host: &str, door: Door) -> Target {
    Target {
        host: TargetHost::Ip(host.parse().unwrap()),
        door,
    }
}

fn node(host: &str) -> Target {
    at(host, Door::Epmd("app".into()))
}

fn named(host: &str, port: u16) -> Target {
    Target {
        host: TargetHost::Name(host.into(), Family::Inet),
        door: Door::Port(port),
    }
}

/// A distribution port that takes connections, and never looks at them.
fn open_port() -> std::net::TcpListener {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap()
}

fn port_of(listener: &std::net::TcpListener) -> u16 {
    listener.local_addr().unwrap().port()
}

async fn scene(epmd_port: u16) -> Scene {
    Scene::with_epmd(&Server::silent().await, epmd_port)
}

/// The verdict about a node whose epmd is this peer.
async fn by_epmd(peer: &Peer) -> Verdict {
    let host = peer.address.ip().to_string();
    let verdicts = scene(peer.port())
        .await
        .resolver
        .probe(&[node(&host)], LONG)
        .await;
    verdicts[0]
}

#[tokio::test]
async fn a_port_that_takes_connections_is_ok() {
    let dist = open_port();
    let peer = Peer::start(say(&node_at(port_of(&dist)))).await;
    assert_eq!(by_epmd(&peer).await, Verdict::Ok(port_of(&dist)));
    assert_eq!(peer.asked(), [b"zapp"]);
}

#[tokio::test]
async fn a_fixed_port_needs_no_epmd() {
    let dist = open_port();
    let scene = scene(closed_port().await.port()).await;
    let target = at("127.0.0.1", Door::Port(port_of(&dist)));
    let ok = Verdict::Ok(port_of(&dist));
    assert_eq!(scene.resolver.probe(&[target], LONG).await, [ok]);
}

#[tokio::test]
async fn an_ipv6_host_too() {
    let dist = std::net::TcpListener::bind("[::1]:0").unwrap();
    let address = "[::1]:0".parse().unwrap();
    let peer = Peer::start_at(address, say(&node_at(port_of(&dist)))).await;
    assert_eq!(by_epmd(&peer).await, Verdict::Ok(port_of(&dist)));
}

#[tokio::test]
async fn a_host_that_answers_without_the_node_is_dead() {
    let closed = closed_port().await.port();
    for (script, dead) in [
        (say(UNKNOWN), Dead::NotRegistered),
        (say(&node_at(closed)), Dead::Refused),
        (say(&node_at(0)), Dead::RefusedEpmd),
        (say(b""), Dead::RefusedEpmd),
        (say(b"\x77"), Dead::RefusedEpmd),
        (say(b"\x77\0\x10"), Dead::RefusedEpmd),
        (say(b"HTTP/1.1 400 Bad Request\r\n\r\n"), Dead::RefusedEpmd),
        (Script::HangUp, Dead::RefusedEpmd),
    ] {
        let peer = Peer::start(script).await;
        assert_eq!(by_epmd(&peer).await, Verdict::Dead(dead));
    }
    let scene = scene(closed).await;
    let targets = [node("127.0.0.1"), at("127.0.0.1", Door::Port(closed))];
    assert_eq!(
        scene.resolver.probe(&targets, LONG).await,
        [
            Verdict::Dead(Dead::RefusedEpmd),
            Verdict::Dead(Dead::Refused)
        ]
    );
}

#[tokio::test]
async fn an_answer_of_epmd_in_pieces() {
    let dist = open_port();
    let reply = node_at(port_of(&dist));
    let pieces = reply.iter().map(|&byte| vec![byte]).collect();
    let peer = Peer::start(Script::Say(pieces)).await;
    assert_eq!(by_epmd(&peer).await, Verdict::Ok(port_of(&dist)));
}

#[tokio::test]
async fn a_basename_that_epmd_cannot_know_is_not_asked_for() {
    let peer = Peer::start(say(UNKNOWN)).await;
    let scene = scene(peer.port()).await;
    let targets = [String::new(), "a".repeat(256)].map(|name| at("127.0.0.1", Door::Epmd(name)));
    let unknown = Verdict::Dead(Dead::NotRegistered);
    assert_eq!(scene.resolver.probe(&targets, LONG).await, [unknown; 2]);
    assert!(peer.asked().is_empty());
}

#[tokio::test]
async fn a_silent_epmd_costs_a_step_and_no_more() {
    for script in [Script::Hang, Script::SayAndStay(vec![119, 0, 1])] {
        let peer = Peer::start(script).await;
        let began = Instant::now();
        assert_eq!(by_epmd(&peer).await, Verdict::Silent(Silent::Epmd));
        let took = began.elapsed();
        assert!(took >= STEP && took < STEP + GRACE, "{took:?}");
    }
}

#[tokio::test]
async fn the_deadline_ends_a_step_before_its_time() {
    let peer = Peer::start(Script::Hang).await;
    let scene = scene(peer.port()).await;
    let timeout = Duration::from_millis(300);
    let began = Instant::now();
    let verdicts = scene.resolver.probe(&[node("127.0.0.1")], timeout).await;
    let took = began.elapsed();
    assert_eq!(verdicts, [Verdict::Silent(Silent::Epmd)]);
    assert!(took >= timeout && took < timeout + GRACE, "{took:?}");
    let verdicts = scene
        .resolver
        .probe(&[node("127.0.0.1")], Duration::ZERO)
        .await;
    assert_eq!(verdicts, [Verdict::Silent(Silent::NotTried)]);
}

/// Packets that vanish, and networks that no route leads to.
#[test]
fn silence_and_no_way_there() {
    let script = "ip link set lo up
        ip link add a0 type veth peer name b0
        ip link set a0 arp off; ip link set a0 up; ip link set b0 up
        ip addr add 192.0.2.1/24 dev a0
        ip route add unreachable 198.51.100.0/24
        ip route add prohibit 203.0.113.0/24";
    namespace::inside("silence_and_no_way_there", script, || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let scene = scene(4369).await;
            let ips = [
                "192.0.2.9",
                "198.51.100.9",
                "203.0.113.9",
                "10.0.0.9",
                "127.0.0.1",
            ];
            let mut targets = ips.map(node).to_vec();
            targets.extend(ips.map(|ip| at(ip, Door::Port(9100))));
            let began = Instant::now();
            let verdicts = scene.resolver.probe(&targets, LONG).await;
            let took = began.elapsed();
            let (by_epmd, by_port) = verdicts.split_at(ips.len());
            assert_eq!(by_epmd[..4], [Verdict::Silent(Silent::Epmd); 4]);
            assert_eq!(by_port[..4], [Verdict::Silent(Silent::Port); 4]);
            assert_eq!(by_epmd[4], Verdict::Dead(Dead::RefusedEpmd));
            assert_eq!(by_port[4], Verdict::Dead(Dead::Refused));
            assert!(took >= STEP && took < STEP + GRACE, "{took:?}");
        });
    });
}

#[tokio::test]
async fn a_host_name_is_looked_up_as_any_other() {
    let dist = open_port();
    let port = port_of(&dist);
    let server = Server::start(|question| match question.name.as_str() {
        // The VM takes the first; nobody listens at the second.
        "two.internal" => question.answer(vec![
            ip("two.internal", "127.0.0.1"),
            ip("two.internal", "127.0.0.2"),
        ]),
        "short.ns.svc" => question.answer(vec![ip("short.ns.svc", "127.0.0.1")]),
        "empty.internal" => question.code(ResponseCode::NoError),
        "broken.internal" => question.code(ResponseCode::ServFail),
        "silent.internal" => Reply::Silence,
        _ => question.code(ResponseCode::NXDomain),
    })
    .await;
    let conf = "search ns.svc\noptions attempts:1";
    let scene = Scene::with_hosts(
        &[&server],
        conf,
        "127.0.0.1 filed.internal\n192.0.2.1 filed.internal\n",
    );
    let ok = Verdict::Ok(port);
    let silent = Verdict::Silent(Silent::Name);
    for (host, verdict) in [
        ("two.internal", ok),
        ("short", ok),
        ("short.", silent),
        ("filed.internal", ok),
        ("127.0.0.1", ok),
        ("gone.internal", silent),
        ("empty.internal", silent),
        ("broken.internal", silent),
        ("bad name", silent),
        ("::1", silent),
    ] {
        let verdicts = scene.resolver.probe(&[named(host, port)], LONG).await;
        assert_eq!(verdicts, [verdict], "{host}");
    }
    let began = Instant::now();
    let verdicts = scene
        .resolver
        .probe(&[named("silent.internal", port)], LONG)
        .await;
    assert_eq!(verdicts, [silent]);
    assert!(began.elapsed() < STEP + GRACE);
}

#[tokio::test]
async fn verdicts_come_in_the_order_of_the_targets() {
    let dist = open_port();
    let closed = closed_port().await.port();
    let hung = Peer::start(Script::Hang).await;
    let scene = scene(hung.port()).await;
    let targets = [
        node("127.0.0.1"),
        at("127.0.0.1", Door::Port(port_of(&dist))),
        at("127.0.0.1", Door::Port(closed)),
        at("127.0.0.1", Door::Port(port_of(&dist))),
    ];
    for _ in 0..3 {
        assert_eq!(
            scene
                .resolver
                .probe(&targets, Duration::from_millis(600))
                .await,
            [
                Verdict::Silent(Silent::Epmd),
                Verdict::Ok(port_of(&dist)),
                Verdict::Dead(Dead::Refused),
                Verdict::Ok(port_of(&dist)),
            ]
        );
    }
    assert_eq!(scene.resolver.probe(&[], LONG).await, []);
}

/// A reset would leave an error in the log of a node with TLS distribution (OTP 29).
#[tokio::test]
async fn the_connection_is_closed_without_a_byte_and_without_a_reset() {
    let dist = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let scene = scene(4369).await;
    let port = dist.local_addr().unwrap().port();
    let targets = [at("127.0.0.1", Door::Port(port))];
    let (verdicts, mut stream) = join(scene.resolver.probe(&targets, LONG), async {
        dist.accept().await.unwrap().0
    })
    .await;
    assert_eq!(verdicts, [Verdict::Ok(port)]);
    let mut seen = Vec::new();
    let read = tokio::time::timeout(LONG, stream.read_to_end(&mut seen)).await;
    assert_eq!(read.expect("still open").expect("a reset"), 0);
}

/// Peers that hang, and how many connections they have had at once.
struct Crowd {
    port: u16,
    open: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    /// The addresses that have been connected to.
    met: Arc<std::sync::Mutex<HashSet<IpAddr>>>,
}

impl Crowd {
    async fn start(hosts: impl Iterator<Item = String>) -> Self {
        let mut crowd = Self {
            port: 0,
            open: Arc::default(),
            most: Arc::default(),
            met: Arc::default(),
        };
        for host in hosts {
            let address = SocketAddr::new(host.parse().unwrap(), crowd.port);
            let listener = TcpListener::bind(address).await.unwrap();
            crowd.port = listener.local_addr().unwrap().port();
            let (open, most, met) = (crowd.open.clone(), crowd.most.clone(), crowd.met.clone());
            tokio::spawn(async move {
                while let Ok((mut stream, _)) = listener.accept().await {
                    met.lock().unwrap().insert(address.ip());
                    let (open, most) = (open.clone(), most.clone());
                    tokio::spawn(async move {
                        most.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        while stream.read_u8().await.is_ok() {}
                        open.fetch_sub(1, Ordering::SeqCst);
                    });
                }
            });
        }
        crowd
    }

    /// Waits until so many addresses have been connected to.
    async fn met(&self, count: usize) {
        let met = async {
            while self.met.lock().unwrap().len() < count {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let met = tokio::time::timeout(LONG, met).await;
        assert!(met.is_ok(), "{} of {count}", self.met.lock().unwrap().len());
    }
}

fn host(n: usize) -> String {
    format!("127.0.2.{n}")
}

#[tokio::test]
async fn sixteen_at_once_for_all_calls_of_a_handle() {
    let crowd = Crowd::start((1..=60).map(host)).await;
    let scene = scene(crowd.port).await;
    let targets = (1..=60).map(|n| node(&host(n))).collect::<Vec<_>>();
    let probe = |targets| scene.resolver.probe(targets, Duration::from_secs(3));
    let (one, two) = join(probe(&targets[..30]), probe(&targets[30..])).await;
    assert!(
        [one, two]
            .concat()
            .iter()
            .all(|&verdict| verdict == Verdict::Silent(Silent::Epmd))
    );
    crowd.met(60).await;
    // The peer may see a new connection before the end of the one that made room for it.
    let most = crowd.most.load(Ordering::SeqCst);
    assert!((AT_ONCE..=2 * AT_ONCE).contains(&most), "{most}");
}

/// Those that there was no time for come first next time.
#[tokio::test]
async fn every_target_is_tried_within_some_calls_however_short() {
    let crowd = Crowd::start((1..=100).map(host)).await;
    let scene = scene(crowd.port).await;
    let targets = (1..=100).map(|n| node(&host(n))).collect::<Vec<_>>();
    for call in 1..=7 {
        let verdicts = scene
            .resolver
            .probe(&targets, Duration::from_millis(350))
            .await;
        let not_tried = Verdict::Silent(Silent::NotTried);
        let tried = verdicts
            .iter()
            .filter(|&&verdict| verdict != not_tried)
            .count();
        assert_eq!(tried, AT_ONCE, "in call {call}");
    }
    crowd.met(100).await;
}
