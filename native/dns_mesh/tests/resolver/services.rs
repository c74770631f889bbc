//! SRV records and their targets.

use std::net::IpAddr;

use dns_mesh::{Family, Follow, Kind, Reason, Service};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::RecordType;

use crate::support::records::{cname, ip, srv};
use crate::support::scene::{LONG, Scene, reason, services};
use crate::support::server::{Reply, Server};

const SERVICE: &str = "_epmd._tcp.app";

fn service(target: &str, port: u16, addresses: &[&str]) -> Service {
    Service {
        target: target.into(),
        port,
        priority: 1,
        weight: 2,
        addresses: addresses
            .iter()
            .map(|ip| ip.parse::<IpAddr>().unwrap())
            .collect(),
    }
}

#[tokio::test]
async fn additional_records_spare_a_lookup() {
    let server = Server::start(|question| match question.kind {
        RecordType::SRV => question.answer_with(
            vec![
                srv(SERVICE, 1, 2, 9100, "Both.Internal"),
                srv(SERVICE, 1, 2, 9101, "both.internal"),
            ],
            vec![
                ip("both.internal", "10.0.0.1"),
                ip("both.internal", "fdaa::1"),
                ip("unrelated.internal", "10.6.6.6"),
            ],
        ),
        _ => question.code(ResponseCode::ServFail),
    })
    .await;
    let answer = Scene::new(&[&server]).srv(SERVICE).await.unwrap();
    assert_eq!((answer.ttl, answer.name.as_str()), (30, SERVICE));
    assert_eq!(
        services(Ok(answer)),
        [
            service("both.internal", 9100, &["10.0.0.1", "fdaa::1"]),
            service("both.internal", 9101, &["10.0.0.1", "fdaa::1"]),
        ]
    );
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn targets_without_additional_records_are_looked_up_as_absolute_names() {
    let server = Server::start(|question| match (question.kind, question.name.as_str()) {
        (RecordType::SRV, _) => question.answer(vec![
            srv(SERVICE, 1, 2, 9100, "one.internal"),
            srv(SERVICE, 1, 2, 9100, "two.internal"),
        ]),
        (RecordType::A, "one.internal") => question.answer(vec![ip("one.internal", "10.0.0.1")]),
        (RecordType::AAAA, "two.internal") => question.answer(vec![ip("two.internal", "fdaa::2")]),
        _ => question.code(ResponseCode::NoError),
    })
    .await;
    let scene = Scene::with_conf(&[&server], "search lan\noptions ndots:3");
    assert_eq!(
        services(scene.srv(&format!("{SERVICE}.")).await),
        [
            service("one.internal", 9100, &["10.0.0.1"]),
            service("two.internal", 9100, &["fdaa::2"]),
        ]
    );
    assert_eq!(server.seen().len(), 5);
    assert!(server.names().iter().all(|name| !name.ends_with(".lan")));
}

#[tokio::test]
async fn only_the_families_wanted_are_asked_for() {
    let server = Server::start(|question| match question.kind {
        RecordType::SRV => question.answer_with(
            vec![srv(SERVICE, 1, 2, 9100, "one.internal")],
            vec![ip("one.internal", "fdaa::1")],
        ),
        _ => question.answer(vec![ip("one.internal", "10.0.0.1")]),
    })
    .await;
    let kind = Kind::Services(vec![Family::Inet]);
    let answer = Scene::new(&[&server])
        .resolver
        .lookup(SERVICE.as_bytes(), &kind, Follow::default(), LONG)
        .await;
    assert_eq!(
        services(answer),
        [service("one.internal", 9100, &["10.0.0.1"])]
    );
    let kinds = server
        .seen()
        .iter()
        .map(|question| question.kind)
        .collect::<Vec<_>>();
    assert_eq!(kinds, [RecordType::SRV, RecordType::A]);
}

#[tokio::test]
async fn a_target_of_root_means_no_service() {
    let server = Server::start(|question| match question.name.as_str() {
        "none" => question.answer(vec![srv("none", 0, 0, 0, ".")]),
        _ => question.answer_with(
            vec![
                srv("some", 0, 0, 0, "."),
                srv("some", 1, 2, 9100, "one.internal"),
            ],
            vec![
                ip("one.internal", "10.0.0.1"),
                ip("one.internal", "fdaa::1"),
            ],
        ),
    })
    .await;
    let scene = Scene::new(&[&server]);
    assert_eq!(reason(scene.srv("none").await), Reason::NoRecords);
    assert_eq!(services(scene.srv("some").await).len(), 1);
}

#[tokio::test]
async fn a_target_that_fails_keeps_no_addresses() {
    let server = Server::start(|question| match (question.kind, question.name.as_str()) {
        (RecordType::SRV, _) => question.answer(vec![
            srv(SERVICE, 1, 2, 9100, "broken.internal"),
            srv(SERVICE, 1, 2, 9100, "one.internal"),
        ]),
        (RecordType::A, "one.internal") => question.answer(vec![ip("one.internal", "10.0.0.1")]),
        (_, "one.internal") => question.code(ResponseCode::NoError),
        _ => question.code(ResponseCode::ServFail),
    })
    .await;
    let scene = Scene::with_conf(&[&server], "options attempts:1");
    assert_eq!(
        services(scene.srv(SERVICE).await),
        [
            service("broken.internal", 9100, &[]),
            service("one.internal", 9100, &["10.0.0.1"])
        ]
    );
}

#[tokio::test]
async fn when_every_target_fails_the_worst_failure_counts() {
    let server = Server::start(|question| match (question.kind, question.name.as_str()) {
        (RecordType::SRV, _) => question.answer(vec![
            srv(SERVICE, 1, 2, 9100, "gone.internal"),
            srv(SERVICE, 1, 2, 9100, "broken.internal"),
        ]),
        (_, "gone.internal") => question.code(ResponseCode::NXDomain),
        _ => question.code(ResponseCode::ServFail),
    })
    .await;
    let scene = Scene::with_conf(&[&server], "options attempts:1");
    let failure = scene.srv(SERVICE).await.unwrap_err();
    assert_eq!(
        (failure.reason, failure.name.as_str()),
        (Reason::ServFail, "broken.internal")
    );
}

/// hickory's own resolver layer loses these.
#[tokio::test]
async fn services_behind_an_alias() {
    let server = Server::start(|question| {
        question.answer_with(
            vec![
                cname(SERVICE, "_epmd._tcp.real"),
                srv("_epmd._tcp.real", 1, 2, 9100, "one.internal"),
            ],
            vec![
                cname("one.internal", "two.internal"),
                ip("two.internal", "10.0.0.1"),
                ip("two.internal", "fdaa::1"),
            ],
        )
    })
    .await;
    assert_eq!(
        services(Scene::new(&[&server]).srv(SERVICE).await),
        [service("one.internal", 9100, &["10.0.0.1", "fdaa::1"])]
    );
}

#[tokio::test]
async fn a_silent_target_holds_up_the_answer_no_longer_than_the_deadline() {
    let server = Server::start(|question| match (question.kind, question.name.as_str()) {
        (RecordType::SRV, _) => question.answer(vec![
            srv(SERVICE, 1, 2, 9100, "silent.internal"),
            srv(SERVICE, 1, 2, 9100, "one.internal"),
        ]),
        (RecordType::A, "one.internal") => question.answer(vec![ip("one.internal", "10.0.0.1")]),
        _ => Reply::Silence,
    })
    .await;
    let kind = Kind::Services(vec![Family::Inet]);
    let timeout = std::time::Duration::from_millis(500);
    let answer = Scene::new(&[&server])
        .resolver
        .lookup(SERVICE.as_bytes(), &kind, Follow::default(), timeout)
        .await;
    assert_eq!(
        services(answer),
        [
            service("silent.internal", 9100, &[]),
            service("one.internal", 9100, &["10.0.0.1"])
        ]
    );
}

#[tokio::test]
async fn a_target_in_the_hosts_file() {
    let server = Server::start(|question| match question.kind {
        RecordType::SRV => question.answer(vec![srv(SERVICE, 1, 2, 9100, "one.internal")]),
        _ => question.code(ResponseCode::NXDomain),
    })
    .await;
    let scene = Scene::with_hosts(&[&server], "", "10.9.9.9 one.internal");
    let answer = scene.srv(SERVICE).await.unwrap();
    assert_eq!(answer.ttl, 30);
    assert_eq!(
        services(Ok(answer)),
        [service("one.internal", 9100, &["10.9.9.9"])]
    );
}
