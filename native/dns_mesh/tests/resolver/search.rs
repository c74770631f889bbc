//! Search domains: which names go out, in which order, and what their failures add up to.

use dns_mesh::Reason;
use hickory_resolver::proto::op::ResponseCode;

use crate::support::records::ip;
use crate::support::scene::{Scene, ips, reason};
use crate::support::server::Server;

const KUBERNETES: &str =
    "search ns.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5";

#[tokio::test]
async fn the_name_that_answered_is_told() {
    let server = Server::start(|question| match question.name.as_str() {
        "app.svc.cluster.local" => question.answer(vec![ip(&question.name, "10.0.0.1")]),
        _ => question.code(ResponseCode::NXDomain),
    })
    .await;
    let answer = Scene::with_conf(&[&server], KUBERNETES)
        .a("app")
        .await
        .unwrap();
    assert_eq!(answer.name, "app.svc.cluster.local");
    assert_eq!(
        server.names(),
        ["app.ns.svc.cluster.local", "app.svc.cluster.local"]
    );
}

#[tokio::test]
async fn enough_dots_go_first_as_written() {
    let server = Server::start(|question| question.code(ResponseCode::NXDomain)).await;
    let scene = Scene::with_conf(&[&server], "search a b\noptions ndots:1");
    let failure = scene.a("app.internal").await.unwrap_err();
    assert_eq!(
        (failure.reason, failure.name.as_str()),
        (Reason::NxDomain, "app.internal")
    );
    assert_eq!(
        server.names(),
        ["app.internal", "app.internal.a", "app.internal.b"]
    );
}

#[tokio::test]
async fn docker_asks_the_plain_name_first() {
    let server =
        Server::start(|question| question.answer(vec![ip(&question.name, "10.0.0.1")])).await;
    let scene = Scene::with_conf(&[&server], "search lan\noptions ndots:0");
    assert_eq!(ips(scene.a("app").await), ["10.0.0.1"]);
    assert_eq!(server.names(), ["app"]);
}

/// glibc would say NXDOMAIN here, and a poller would believe that its peers are gone.
#[tokio::test]
async fn a_server_in_trouble_for_one_domain_is_not_forgotten() {
    let server = Server::start(|question| match question.name.as_str() {
        "app.ns.svc.cluster.local" => question.code(ResponseCode::ServFail),
        _ => question.code(ResponseCode::NXDomain),
    })
    .await;
    let scene = Scene::with_conf(&[&server], &format!("{KUBERNETES} attempts:1"));
    let failure = scene.a("app").await.unwrap_err();
    assert_eq!(failure.reason, Reason::ServFail);
    assert_eq!(failure.name, "app.ns.svc.cluster.local");
    assert_eq!(server.seen().len(), 4, "the others are asked all the same");
}

#[tokio::test]
async fn a_hit_after_trouble_is_a_hit() {
    let server = Server::start(|question| match question.name.as_str() {
        "app" => question.answer(vec![ip("app", "10.0.0.1")]),
        _ => question.code(ResponseCode::ServFail),
    })
    .await;
    let scene = Scene::with_conf(&[&server], "search a\noptions attempts:1");
    assert_eq!(ips(scene.a("app").await), ["10.0.0.1"]);
}

#[tokio::test]
async fn no_records_beats_no_such_name() {
    let server = Server::start(|question| match question.name.as_str() {
        "app.a" => question.code(ResponseCode::NoError),
        _ => question.code(ResponseCode::NXDomain),
    })
    .await;
    let scene = Scene::with_conf(&[&server], "search a b");
    assert_eq!(reason(scene.a("app").await), Reason::NoRecords);
}
