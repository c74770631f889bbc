//! Answers in the shapes that container platforms give them.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dns_mesh::{Family, Follow, Kind, Reason};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{RData, RecordType};

use crate::support::records::{cname, ip, many, srv};
use crate::support::scene::{LONG, Scene, ips, reason, services};
use crate::support::server::{Question, Reply, Server};

const KUBERNETES: &str =
    "search ns.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5";

/// K1: a headless service's SRV records, one pod per family, addresses in the additional section.
#[tokio::test]
async fn kubernetes_headless_srv() {
    const SERVICE: &str = "_epmd._tcp.app.ns.svc.cluster.local";
    let v4 = "10-0-0-5.app.ns.svc.cluster.local";
    let v6 = "5678-abcd--1.app.ns.svc.cluster.local";
    let server = Server::start(move |question| match question.kind {
        RecordType::SRV => question.answer_with(
            vec![srv(SERVICE, 0, 16, 4369, v4), srv(SERVICE, 0, 16, 4369, v6)],
            vec![ip(v4, "10.0.0.5"), ip(v6, "5678:abcd::1")],
        ),
        _ => question.code(ResponseCode::NoError),
    })
    .await;
    let found = services(Scene::with_conf(&[&server], KUBERNETES).srv(SERVICE).await);
    let addresses = found
        .iter()
        .flat_map(|one| &one.addresses)
        .map(IpAddr::to_string);
    assert_eq!(addresses.collect::<Vec<_>>(), ["10.0.0.5", "5678:abcd::1"]);
    assert!(
        found
            .iter()
            .all(|one| (one.port, one.priority, one.weight) == (4369, 0, 16))
    );
}

/// K2: a service nobody is ready in yet.
#[tokio::test]
async fn kubernetes_nobody_ready_yet() {
    let polls = AtomicUsize::new(0);
    let server = Server::start(move |question| match polls.fetch_add(1, Ordering::SeqCst) {
        0 => question.none(ResponseCode::NoError, 5),
        1 => question.none(ResponseCode::NXDomain, 5),
        _ => question.answer(many(&question.name, 3)),
    })
    .await;
    let scene = Scene::with_conf(&[&server], KUBERNETES);
    let name = "app.ns.svc.cluster.local.";
    assert_eq!(reason(scene.a(name).await), Reason::NoRecords);
    assert_eq!(reason(scene.a(name).await), Reason::NxDomain);
    assert_eq!(ips(scene.a(name).await).len(), 3);
}

/// K3: ndots:5 costs three questions for nothing; a trailing dot saves them.
#[tokio::test]
async fn kubernetes_search_list() {
    let server = Server::start(|question| match question.name.as_str() {
        "app.example.com" => question.answer(vec![ip("app.example.com", "10.0.0.1")]),
        _ => question.code(ResponseCode::NXDomain),
    })
    .await;
    let scene = Scene::with_conf(&[&server], KUBERNETES);
    assert_eq!(ips(scene.a("app.example.com").await), ["10.0.0.1"]);
    assert_eq!(server.seen().len(), 4);
    assert_eq!(ips(scene.a("app.example.com.").await), ["10.0.0.1"]);
    assert_eq!(server.seen().len(), 5);
}

/// K4: CoreDNS autopath finishes the search itself and says so by an alias.
#[tokio::test]
async fn kubernetes_autopath() {
    let server = Server::start(|question| match question.name.as_str() {
        "app.ns.svc.cluster.local" => question.answer(vec![
            cname("app.ns.svc.cluster.local", "app"),
            ip("app", "10.0.0.1"),
        ]),
        _ => question.code(ResponseCode::NXDomain),
    })
    .await;
    assert_eq!(
        ips(Scene::with_conf(&[&server], KUBERNETES).a("app").await),
        ["10.0.0.1"]
    );
    assert_eq!(server.seen().len(), 1);
}

/// C1: Cloud Map gives eight random ones of twelve; each answer stands for itself.
#[tokio::test]
async fn cloud_map_gives_a_subset() {
    let polls = AtomicUsize::new(0);
    let server = Server::start(move |question| {
        let all = many("app.ns", 12);
        let first = polls.fetch_add(1, Ordering::SeqCst) * 5;
        question.answer((0..8).map(|n| all[(first + n) % 12].clone()).collect())
    })
    .await;
    let scene = Scene::new(&[&server]);
    let mut seen = std::collections::HashSet::new();
    for _ in 0..3 {
        let found = ips(scene.a("app.ns").await);
        assert_eq!(found.len(), 8);
        seen.extend(found);
    }
    assert_eq!(seen.len(), 12);
}

/// C2: Consul's synthetic targets, which have to be looked up, in both families.
#[tokio::test]
async fn consul_address_targets() {
    const SERVICE: &str = "app.service.consul";
    let v4 = "0a000005.addr.dc1.consul";
    let v6 = "fdaa0000000000000000000000000005.addr.dc1.consul";
    let server = Server::start(
        move |question| match (question.kind, question.name.as_str()) {
            (RecordType::SRV, _) => question.answer(vec![
                srv(SERVICE, 1, 1, 9100, v4),
                srv(SERVICE, 1, 1, 9100, v6),
            ]),
            (RecordType::A, name) if name == v4 => question.answer(vec![ip(v4, "10.0.0.5")]),
            (RecordType::AAAA, name) if name == v6 => question.answer(vec![ip(v6, "fdaa::5")]),
            _ => question.code(ResponseCode::NoError),
        },
    )
    .await;
    let found = services(Scene::new(&[&server]).srv(SERVICE).await);
    let addresses = found
        .iter()
        .flat_map(|one| &one.addresses)
        .map(IpAddr::to_string);
    assert_eq!(addresses.collect::<Vec<_>>(), ["10.0.0.5", "fdaa::5"]);
    assert!(found.iter().all(|one| one.port == 9100));
}

/// C3: Consul cuts the list for whoever does not speak EDNS, and does not say so.
#[tokio::test]
async fn consul_gives_all_to_who_speaks_edns() {
    let server = Server::start(|question| {
        let count = if question.edns || question.tcp { 20 } else { 3 };
        question.answer(many("app.service.consul", count))
    })
    .await;
    assert_eq!(
        ips(Scene::new(&[&server]).a("app.service.consul").await).len(),
        20
    );
}

/// F1: Fly has IPv6 only, and so has its name server.
#[tokio::test]
async fn fly_is_ipv6_only() {
    let server = Server::start_at((Ipv6Addr::LOCALHOST, 0).into(), |question| {
        match question.kind {
            RecordType::AAAA => question.answer(vec![ip("app.internal", "fdaa:0:1::3")]),
            _ => question.code(ResponseCode::NoError),
        }
    })
    .await;
    let scene = Scene::following("nameserver ::1", server.port());
    assert_eq!(ips(scene.aaaa("app.internal").await), ["fdaa:0:1::3"]);
    assert_eq!(reason(scene.a("app.internal").await), Reason::NoRecords);
}

/// Docker's reply to an SRV question: the type says PTR, the body is SRV's.
fn docker_srv(question: &Question) -> Reply {
    let record = srv(&question.name, 1, 2, 9100, "app.internal");
    let RData::SRV(_) = &record.data else {
        unreachable!()
    };
    let mut bytes = question.bytes(question.answer(vec![record]));
    let question_end = 12 + question.name.len() + 2 + 4;
    // Right after the owner, which is a pointer to the question's name.
    let kind_at = question_end + 2;
    assert_eq!(bytes[kind_at..kind_at + 2], [0, 33]);
    bytes[kind_at + 1] = 12;
    Reply::Raw(vec![bytes])
}

/// D1: an error, neither a peer nor an empty answer, and long before the deadline.
#[tokio::test]
async fn docker_answers_srv_with_ptr() {
    let server = Server::start(docker_srv).await;
    let scene = Scene::with_conf(&[&server], "options ndots:0 attempts:1");
    let began = std::time::Instant::now();
    assert_eq!(reason(scene.srv("_app._tcp.web").await), Reason::BadReply);
    assert!(began.elapsed() < LONG / 4);
}

/// D2: a name Docker does not know goes to a server outside that is silent.
#[tokio::test]
async fn docker_forwards_what_it_does_not_know() {
    let server = Server::start(|question| match question.name.as_str() {
        "web" => question.answer(vec![ip("web", "10.0.0.1")]),
        _ => Reply::After(
            Duration::from_secs(8),
            Box::new(question.code(ResponseCode::ServFail)),
        ),
    })
    .await;
    let scene = Scene::with_conf(&[&server], "options ndots:0");
    let kind = Kind::Addresses(Family::Inet);
    let unknown = scene.resolver.lookup(
        b"unknown",
        &kind,
        Follow::default(),
        Duration::from_millis(700),
    );
    let known = async {
        server.saw(1).await;
        let began = std::time::Instant::now();
        assert_eq!(ips(scene.a("web").await), ["10.0.0.1"]);
        began.elapsed()
    };
    let (unknown, known) = futures_util::future::join(unknown, known).await;
    assert_eq!(reason(unknown), Reason::Timeout);
    assert!(
        known < Duration::from_millis(600),
        "held up by the other: {known:?}"
    );
}
