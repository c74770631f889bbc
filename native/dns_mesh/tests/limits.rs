//! Bounds on what one process sends and keeps. A test program of its own, because the wire
//! permits belong to the whole process and these tests use them up.

#[allow(dead_code)] // written for the other test program, which needs all of it
mod support;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dns_mesh::Reason;
use support::records::{cname, ip, many};
use support::scene::{Scene, ips, reason};
use support::server::Server;
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
