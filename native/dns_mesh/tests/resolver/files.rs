//! resolv.conf and the hosts file, read again when they change.

use dns_mesh::Reason;
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::RecordType;

use crate::support::records::ip;
use crate::support::scene::{Scene, ips, reason, replace};
use crate::support::server::Server;

#[cfg(target_os = "linux")] // All of 127.0.0.0/8 is local there, and nowhere else.
#[tokio::test]
async fn a_replaced_resolv_conf_is_followed() {
    let first =
        Server::start(|question| question.answer(vec![ip("app.internal", "10.0.0.1")])).await;
    let second_at = format!("127.0.0.2:{}", first.port()).parse().unwrap();
    let second = Server::start_at(second_at, |question| {
        question.answer(vec![ip("app.internal", "10.0.0.2")])
    })
    .await;

    let scene = Scene::following("nameserver 127.0.0.1", first.port());
    assert_eq!(ips(scene.a("app.internal").await), ["10.0.0.1"]);
    replace(&scene.resolv_conf(), "nameserver 127.0.0.2");
    assert_eq!(ips(scene.a("app.internal").await), ["10.0.0.2"]);

    std::fs::remove_file(scene.resolv_conf()).unwrap();
    assert_eq!(
        ips(scene.a("app.internal").await),
        ["10.0.0.1"],
        "no file means 127.0.0.1"
    );
    assert_eq!((first.seen().len(), second.seen().len()), (2, 1));
}

#[tokio::test]
async fn search_domains_follow_too_even_with_own_servers() {
    let server = Server::start(|question| match question.name.as_str() {
        "app.b" => question.answer(vec![ip("app.b", "10.0.0.1")]),
        _ => question.code(ResponseCode::NXDomain),
    })
    .await;
    let scene = Scene::with_conf(&[&server], "search a");
    assert_eq!(reason(scene.a("app").await), Reason::NxDomain);
    replace(&scene.resolv_conf(), "search b");
    assert_eq!(ips(scene.a("app").await), ["10.0.0.1"]);
}

#[tokio::test]
async fn the_hosts_file_goes_first_for_the_name_as_written() {
    let server = Server::start(|question| match question.kind {
        RecordType::AAAA => question.answer(vec![ip(&question.name, "fdaa::9")]),
        _ => question.answer(vec![ip(&question.name, "10.9.9.9")]),
    })
    .await;
    let scene = Scene::with_hosts(
        &[&server],
        "search lan",
        "10.0.0.5 app app.alias\n10.0.0.6 app",
    );
    let answer = scene.a("App").await.unwrap();
    assert_eq!(
        (answer.server.as_str(), answer.ttl, answer.name.as_str()),
        ("hosts", 0, "App")
    );
    assert_eq!(ips(Ok(answer)), ["10.0.0.5", "10.0.0.6"]);
    assert!(server.seen().is_empty());

    assert_eq!(
        ips(scene.aaaa("app").await),
        ["fdaa::9"],
        "a family the file lacks is asked for"
    );
    assert_eq!(ips(scene.a("other").await), ["10.9.9.9"]);
}

#[tokio::test]
async fn hosts_entries_that_only_name_this_machine_are_skipped() {
    let own = dns_mesh::interfaces()
        .unwrap()
        .into_iter()
        .find(|own| own.ip.is_ipv4())
        .unwrap();
    let server =
        Server::start(|question| question.answer(vec![ip(&question.name, "10.9.9.9")])).await;
    let hosts = format!("127.0.0.1 app\n{0} me\n{0} both\n10.0.0.5 both", own.ip);
    let scene = Scene::with_hosts(&[&server], "", &hosts);
    assert_eq!(ips(scene.a("app").await), ["10.9.9.9"]);
    assert_eq!(ips(scene.a("me").await), ["10.9.9.9"]);
    assert_eq!(
        ips(scene.a("both").await),
        [own.ip.to_string(), "10.0.0.5".into()]
    );
}

#[tokio::test]
async fn a_replaced_hosts_file_is_followed() {
    let server = Server::start(|question| question.code(ResponseCode::NXDomain)).await;
    let scene = Scene::with_hosts(&[&server], "", "10.0.0.5 app");
    assert_eq!(ips(scene.a("app").await), ["10.0.0.5"]);
    replace(&scene.hosts(), "10.0.0.6 app");
    assert_eq!(ips(scene.a("app").await), ["10.0.0.6"]);
    std::fs::remove_file(scene.hosts()).unwrap();
    assert_eq!(reason(scene.a("app").await), Reason::NxDomain);
}
