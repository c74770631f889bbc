//! Several servers: who is asked when, and whose word counts.

use std::time::{Duration, Instant};

use dns_mesh::Reason;
use dns_mesh::server_race::STAGGER;
use hickory_resolver::proto::op::ResponseCode;

use crate::support::records::ip;
use crate::support::scene::{LONG, Scene, ips, reason};
use crate::support::server::{Question, Reply, Server, closed_port};

fn app(question: &Question) -> Reply {
    question.answer(vec![ip("app.internal", "10.0.0.1")])
}

async fn always(code: ResponseCode) -> Server {
    Server::start(move |question| question.code(code)).await
}

#[tokio::test]
async fn a_healthy_first_server_is_the_only_one_asked() {
    let (first, second) = (Server::start(app).await, Server::start(app).await);
    let answer = Scene::new(&[&first, &second])
        .a("app.internal")
        .await
        .unwrap();
    assert_eq!(answer.server, first.address.to_string());
    assert!(second.seen().is_empty());
}

#[tokio::test]
async fn a_server_in_trouble_loses_to_the_next_at_once() {
    for code in [
        ResponseCode::ServFail,
        ResponseCode::Refused,
        ResponseCode::FormErr,
        ResponseCode::NotImp,
        ResponseCode::NotAuth,
    ] {
        let (first, second) = (always(code).await, Server::start(app).await);
        let answer = Scene::new(&[&first, &second])
            .a("app.internal")
            .await
            .unwrap();
        assert_eq!(answer.server, second.address.to_string(), "{code}");
    }
}

#[tokio::test]
async fn a_closed_port_loses_to_the_next_at_once() {
    let alive = Server::start(app).await;
    let mut dead = Server::silent().await;
    dead.address = closed_port().await;
    let answer = Scene::new(&[&dead, &alive])
        .a("app.internal")
        .await
        .unwrap();
    assert_eq!(answer.server, alive.address.to_string());
}

#[tokio::test]
async fn a_broken_reply_loses_to_the_next() {
    let broken = Server::start(|question| {
        let mut bytes = question.bytes(app(question));
        bytes.truncate(bytes.len() - 2);
        Reply::Raw(vec![bytes])
    })
    .await;
    let alive = Server::start(app).await;
    assert_eq!(
        ips(Scene::new(&[&broken, &alive]).a("app.internal").await),
        ["10.0.0.1"]
    );
}

#[tokio::test]
async fn a_silent_server_costs_one_stagger() {
    let (silent, alive) = (Server::silent().await, Server::start(app).await);
    let began = Instant::now();
    let answer = Scene::new(&[&silent, &alive])
        .a("app.internal")
        .await
        .unwrap();
    assert_eq!(answer.server, alive.address.to_string());
    assert_eq!(silent.seen().len(), 1, "asked first, and not again");
    assert!(began.elapsed() >= STAGGER);
    assert!(began.elapsed() < STAGGER * 8, "waited for the silent one");
}

#[tokio::test]
async fn a_slow_first_server_may_still_win() {
    let slow = Server::start(|question| Reply::After(STAGGER * 2, Box::new(app(question)))).await;
    let silent = Server::silent().await;
    let answer = Scene::new(&[&slow, &silent])
        .a("app.internal")
        .await
        .unwrap();
    assert_eq!(answer.server, slow.address.to_string());
    assert!(!silent.seen().is_empty());
}

#[tokio::test]
async fn absence_ends_the_race() {
    for (code, expected) in [
        (ResponseCode::NXDomain, Reason::NxDomain),
        (ResponseCode::NoError, Reason::NoRecords),
    ] {
        let (first, second) = (always(code).await, Server::start(app).await);
        assert_eq!(
            reason(Scene::new(&[&first, &second]).a("app.internal").await),
            expected
        );
        assert!(second.seen().is_empty());

        let silent = Server::silent().await;
        assert_eq!(
            reason(Scene::new(&[&silent, &first]).a("app.internal").await),
            expected
        );
    }
}

#[tokio::test]
async fn a_response_code_beats_a_timeout() {
    let (silent, broken) = (Server::silent().await, always(ResponseCode::ServFail).await);
    for servers in [[&silent, &broken], [&broken, &silent]] {
        let scene = Scene::new(&servers);
        let failure = scene
            .a_within("app.internal", Duration::from_millis(900))
            .await
            .unwrap_err();
        assert_eq!(failure.reason, Reason::ServFail);
        assert_eq!(failure.server, Some(broken.address.to_string()));
    }
}

#[tokio::test]
async fn silence_everywhere_ends_at_the_deadline() {
    let (one, two) = (Server::silent().await, Server::silent().await);
    let scene = Scene::with_conf(&[&one, &two], "search a b c\noptions ndots:5");
    let began = Instant::now();
    let failure = scene
        .a_within("app", Duration::from_millis(600))
        .await
        .unwrap_err();
    let took = began.elapsed();
    assert_eq!(failure.reason, Reason::Timeout);
    assert_eq!(failure.server, Some(one.address.to_string()));
    assert!(took >= Duration::from_millis(590), "{took:?}");
    assert!(took < Duration::from_millis(1600), "{took:?}");
}

#[tokio::test]
async fn a_failing_server_gets_as_many_rounds_as_attempts_says() {
    for (attempts, expected) in [(1, 1), (2, 2), (3, 3)] {
        let server = always(ResponseCode::ServFail).await;
        let scene = Scene::with_conf(&[&server], &format!("options attempts:{attempts}"));
        let began = Instant::now();
        assert_eq!(reason(scene.a("app.internal").await), Reason::ServFail);
        assert_eq!(server.seen().len(), expected);
        assert!(
            began.elapsed() >= STAGGER * (attempts - 1),
            "rounds are not faster than the stagger"
        );
    }
}

#[tokio::test]
async fn a_server_that_recovers_answers_in_the_second_round() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let has_failed = AtomicBool::new(false);
    let server = Server::start(
        move |question| match has_failed.swap(true, Ordering::SeqCst) {
            false => question.code(ResponseCode::ServFail),
            true => app(question),
        },
    )
    .await;
    assert_eq!(
        ips(Scene::new(&[&server]).a("app.internal").await),
        ["10.0.0.1"]
    );
}

#[tokio::test]
async fn the_conf_timeout_ends_one_try() {
    let silent = Server::silent().await;
    let scene = Scene::with_conf(&[&silent], "options timeout:1 attempts:1");
    let began = Instant::now();
    assert_eq!(reason(scene.a("app.internal").await), Reason::Timeout);
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert!(began.elapsed() < LONG / 2);
}

/// A lookup whose caller lost interest, or a server that lost the race, asks no more.
#[tokio::test]
async fn a_dropped_lookup_sends_nothing_more() {
    let silent = Server::silent().await;
    let scene = Scene::new(&[&silent]);
    tokio::select! {
        _ = scene.a("app.internal") => panic!("nobody answers"),
        () = silent.saw(1) => {}
    }
    // hickory sends again after a third of a second.
    let again = tokio::time::timeout(Duration::from_millis(1000), silent.saw(2)).await;
    assert!(again.is_err(), "asked again after the lookup was dropped");
}
