//! `dns_mesh lookup` against a scripted server.

use std::time::Duration;

use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::RecordType;

use crate::program::program;
use crate::support::records::{ip, srv};
use crate::support::server::{Server, closed_port};

async fn server() -> Server {
    Server::start(|question| match (&*question.name, question.kind) {
        ("app.internal", RecordType::A) => question.answer(vec![
            ip("app.internal", "10.0.0.6"),
            ip("app.internal", "10.0.0.5"),
        ]),
        ("app.internal", RecordType::AAAA) => question.answer(vec![ip("app.internal", "fdaa::3")]),
        ("_epmd._tcp.app.internal", RecordType::SRV) => question.answer_with(
            vec![
                srv("_epmd._tcp.app.internal", 0, 16, 4369, "app-0.app.internal"),
                srv("_epmd._tcp.app.internal", 1, 16, 4370, "app-1.app.internal"),
            ],
            vec![
                ip("app-0.app.internal", "10.0.0.5"),
                ip("app-0.app.internal", "fdaa::3"),
            ],
        ),
        ("refused.internal", _) => question.code(ResponseCode::Refused),
        _ => question.none(ResponseCode::NXDomain, 5),
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_record_a_line() {
    let server = server().await;
    program("lookup app.internal")
        .asking(&server)
        .prints("10.0.0.6\n10.0.0.5\n");
    program("lookup app.internal --type aaaa")
        .asking(&server)
        .prints("fdaa::3\n");
    program("lookup 10.0.0.7")
        .asking(&server)
        .prints("10.0.0.7\n");
    let services = "0 16 4369 app-0.app.internal 10.0.0.5 fdaa::3\n1 16 4370 app-1.app.internal\n";
    program("lookup _epmd._tcp.app.internal")
        .asking(&server)
        .prints(services);
    program("lookup --type SRV _epmd._tcp.app.internal")
        .asking(&server)
        .prints(services);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_family_of_the_distribution_is_the_default() {
    let server = server().await;
    let lookup = || program("lookup app.internal").env("ERL_AFLAGS", "-proto_dist inet6_tcp");
    lookup().asking(&server).prints("fdaa::3\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_found_is_1_and_says_why() {
    let server = server().await;
    let at = server.address.to_string();
    let nx = program("lookup nope.internal").asking(&server);
    let ended = nx.finds_nothing(&["nope.internal: no such name (NXDOMAIN)", &at]);
    assert_eq!(ended.err.lines().count(), 1);
    let refused = program("lookup refused.internal --timeout 500").asking(&server);
    refused.finds_nothing(&["refused.internal: the name server refused (REFUSED)", &at]);
    let literal = program("lookup 10.0.0.7 --type aaaa").asking(&server);
    literal.finds_nothing(&["the name has no records of this type"]);
    let closed = closed_port().await;
    let nobody = program(&format!(
        "lookup app.internal --nameserver {closed} --timeout 500"
    ));
    nobody.finds_nothing(&["the name server cannot be reached"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_deadline_holds() {
    let silent = Server::silent().await;
    let ended = program("lookup app.internal --timeout 300").asking(&silent);
    let ended = ended.finds_nothing(&["app.internal: no answer in time"]);
    assert!(ended.took >= Duration::from_millis(300), "{:?}", ended.took);
    assert!(ended.took < Duration::from_secs(4), "{:?}", ended.took);
}
