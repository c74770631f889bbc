//! One server, one question: what counts as an answer, and as which failure.

use dns_mesh::{BadName, Family, Follow, Kind, Reason, Records};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::RecordType;

use crate::support::records::{cname, ip};
use crate::support::scene::{LONG, Scene, ips, reason};
use crate::support::server::{Reply, Server};

#[tokio::test]
async fn records_of_both_families() {
    let server = Server::start(|question| match question.kind {
        RecordType::A => question.answer(vec![
            ip("app.internal", "10.0.0.1"),
            ip("app.internal", "10.0.0.2"),
        ]),
        _ => question.answer(vec![ip("app.internal", "fdaa::1")]),
    })
    .await;
    let scene = Scene::new(&[&server]);
    let answer = scene.a("app.internal").await.unwrap();
    assert_eq!(answer.ttl, 30);
    assert_eq!(answer.name, "app.internal");
    assert_eq!(answer.server, server.address.to_string());
    assert!(!answer.truncated);
    assert_eq!(ips(Ok(answer)), ["10.0.0.1", "10.0.0.2"]);
    assert_eq!(ips(scene.aaaa("app.internal").await), ["fdaa::1"]);
}

#[tokio::test]
async fn the_smallest_ttl_counts() {
    let server = Server::start(|question| {
        let mut short = ip("app.internal", "10.0.0.2");
        short.ttl = 9;
        question.answer(vec![ip("app.internal", "10.0.0.1"), short])
    })
    .await;
    assert_eq!(
        Scene::new(&[&server]).a("app.internal").await.unwrap().ttl,
        9
    );
}

#[tokio::test]
async fn absent_names_and_absent_records_differ() {
    let server = Server::start(|question| match question.name.as_str() {
        "gone.internal" => question.none(ResponseCode::NXDomain, 7),
        "empty.internal" => question.none(ResponseCode::NoError, 5),
        _ => question.code(ResponseCode::NXDomain),
    })
    .await;
    let scene = Scene::new(&[&server]);

    let gone = scene.a("gone.internal").await.unwrap_err();
    assert_eq!(gone.reason, Reason::NxDomain);
    assert_eq!(gone.negative_ttl, Some(7));
    assert_eq!(gone.name, "gone.internal");
    assert_eq!(gone.server, Some(server.address.to_string()));

    let empty = scene.a("empty.internal").await.unwrap_err();
    assert_eq!(
        (empty.reason, empty.negative_ttl),
        (Reason::NoRecords, Some(5))
    );

    let without_soa = scene.a("other.internal").await.unwrap_err();
    assert_eq!(
        (without_soa.reason, without_soa.negative_ttl),
        (Reason::NxDomain, None)
    );
}

#[tokio::test]
async fn response_codes_are_told_apart() {
    let server = Server::start(|question| {
        question.code(match question.name.as_str() {
            "servfail" => ResponseCode::ServFail,
            "refused" => ResponseCode::Refused,
            "formerr" => ResponseCode::FormErr,
            "notimp" => ResponseCode::NotImp,
            "notauth" => ResponseCode::NotAuth,
            _ => ResponseCode::from(0, 12),
        })
    })
    .await;
    let scene = Scene::with_conf(&[&server], "options attempts:1");
    for (name, expected) in [
        ("servfail", Reason::ServFail),
        ("refused", Reason::Refused),
        ("formerr", Reason::FormErr),
        ("notimp", Reason::NotImp),
        ("notauth", Reason::Rcode(9)),
        ("unassigned", Reason::Rcode(12)),
    ] {
        assert_eq!(reason(scene.a(name).await), expected, "{name}");
    }
}

#[tokio::test]
async fn aliases_are_followed_within_the_message() {
    let server = Server::start(|question| {
        question.answer(vec![
            cname("app.internal", "a.internal"),
            cname("a.internal", "b.internal"),
            ip("b.internal", "10.0.0.1"),
        ])
    })
    .await;
    let scene = Scene::new(&[&server]);
    let answer = scene.a("app.internal").await.unwrap();
    assert_eq!(answer.name, "app.internal");
    assert_eq!(ips(Ok(answer)), ["10.0.0.1"]);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn records_of_other_owners_do_not_count() {
    let server = Server::start(|question| match question.name.as_str() {
        "app.internal" => question.answer(vec![
            ip("evil.internal", "10.6.6.6"),
            ip("app.internal", "10.0.0.1"),
        ]),
        _ => question.answer(vec![ip("evil.internal", "10.6.6.6")]),
    })
    .await;
    let scene = Scene::new(&[&server]);
    assert_eq!(ips(scene.a("app.internal").await), ["10.0.0.1"]);
    assert_eq!(reason(scene.a("other.internal").await), Reason::NoRecords);
}

#[tokio::test]
async fn aliases_in_a_circle_end() {
    let server = Server::start(|question| {
        question.answer(vec![
            cname("a.internal", "b.internal"),
            cname("b.internal", "a.internal"),
        ])
    })
    .await;
    assert_eq!(
        reason(Scene::new(&[&server]).a("a.internal").await),
        Reason::NoRecords
    );
}

#[tokio::test]
async fn case_is_kept_on_the_wire_and_ignored_in_the_answer() {
    let server =
        Server::start(|question| question.answer(vec![ip("APP.internal", "10.0.0.1")])).await;
    assert_eq!(
        ips(Scene::new(&[&server]).a("App.Internal").await),
        ["10.0.0.1"]
    );
    assert_eq!(server.names(), ["App.Internal"]);
}

#[tokio::test]
async fn every_name_is_asked() {
    let server =
        Server::start(|question| question.answer(vec![ip(&question.name, "10.0.0.1")])).await;
    let scene = Scene::new(&[&server]);
    let names = [
        "tasks.minotaur-stack_minotaur",
        "node.local",
        "a_b.c_d",
        "app.invalid",
        "app.localhost",
        "-odd-.internal",
    ];
    for name in names {
        assert_eq!(ips(scene.a(name).await), ["10.0.0.1"], "{name}");
    }
    assert_eq!(server.names(), names);
}

#[tokio::test]
async fn literals_answer_themselves() {
    let server = Server::silent().await;
    let scene = Scene::new(&[&server]);
    let answer = scene.a("10.0.0.9").await.unwrap();
    assert_eq!(
        (answer.ttl, answer.server.as_str(), answer.name.as_str()),
        (0, "literal", "10.0.0.9")
    );
    assert_eq!(ips(Ok(answer)), ["10.0.0.9"]);
    assert_eq!(ips(scene.aaaa("fdaa::3").await), ["fdaa::3"]);
    assert_eq!(reason(scene.aaaa("10.0.0.9").await), Reason::NoRecords);
    assert_eq!(reason(scene.a("::1").await), Reason::NoRecords);
    assert_eq!(reason(scene.srv("10.0.0.9").await), Reason::NoRecords);
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn bad_names_never_reach_a_server() {
    let server = Server::silent().await;
    let scene = Scene::new(&[&server]);
    let long = "a".repeat(64);
    for (name, why) in [
        ("", BadName::Empty),
        (".", BadName::Empty),
        ("a b", BadName::Blank),
        ("a..b", BadName::EmptyLabel),
        (&long, BadName::LabelTooLong),
    ] {
        let failure = scene.a(name).await.unwrap_err();
        assert_eq!(failure.reason, Reason::BadName(why), "{name:?}");
        assert_eq!(failure.server, None);
    }
    let kind = Kind::Addresses(Family::Inet);
    let not_text = scene
        .resolver
        .lookup(b"a\xff", &kind, Follow::default(), LONG)
        .await;
    assert_eq!(reason(not_text), Reason::BadName(BadName::NotAscii));
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn nothing_is_cached() {
    let server =
        Server::start(|question| question.answer(vec![ip("app.internal", "10.0.0.1")])).await;
    let scene = Scene::new(&[&server]);
    for _ in 0..3 {
        let answer = scene.a("app.internal").await.unwrap();
        assert!(matches!(answer.records, Records::Addresses(_)));
    }
    let gone = Server::start(|question| question.none(ResponseCode::NXDomain, 600)).await;
    let scene = Scene::new(&[&gone]);
    for _ in 0..2 {
        assert_eq!(reason(scene.a("app.internal").await), Reason::NxDomain);
    }
    assert_eq!((server.seen().len(), gone.seen().len()), (3, 2));
}

#[tokio::test]
async fn a_late_reply_within_the_deadline_counts() {
    let server = Server::start(|question| {
        let answer = question.answer(vec![ip("app.internal", "10.0.0.1")]);
        Reply::After(std::time::Duration::from_millis(700), Box::new(answer))
    })
    .await;
    assert_eq!(
        ips(Scene::new(&[&server]).a("app.internal").await),
        ["10.0.0.1"]
    );
}
