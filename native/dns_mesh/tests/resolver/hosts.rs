//! From the addresses of an answer to host names that lead back to them.

use std::time::{Duration, Instant};

use dns_mesh::{Answer, Family, Follow, Kind, NoHost, Reason};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Record, RecordType};

use crate::support::records::{cname, ip, ptr, srv};
use crate::support::scene::{HOSTS, LONG, Scene, ips, services};
use crate::support::server::{Question, Reply, Server, closed_port};

/// What the VM waits beyond the deadline.
const GRACE: Duration = Duration::from_secs(1);

const ONE: &str = "1.0.0.10.in-addr.arpa";
const TWO: &str = "2.0.0.10.in-addr.arpa";

/// Answers from these records; NXDOMAIN for names that own none of them.
async fn zone(records: Vec<Record>) -> Server {
    Server::start(move |question| lookup(question, &records)).await
}

fn lookup(question: &Question, records: &[Record]) -> Reply {
    let owned = |record: &&Record| record.name == crate::support::records::name(&question.name);
    let owned = records.iter().filter(owned).cloned().collect::<Vec<_>>();
    if owned.is_empty() {
        return question.code(ResponseCode::NXDomain);
    }
    let fits = |record: &Record| [question.kind, RecordType::CNAME].contains(&record.record_type());
    question.answer(owned.into_iter().filter(fits).collect())
}

/// Address and name, or why there is none.
fn named(answer: &Answer) -> Vec<(String, Result<&str, &NoHost>)> {
    let hosts = answer.hosts.iter();
    hosts
        .map(|(ip, host)| (ip.to_string(), host.as_ref().map(String::as_str)))
        .collect()
}

async fn host(records: Vec<Record>) -> Result<String, NoHost> {
    let mut all = vec![ip("app.internal", "10.0.0.1")];
    all.extend(records);
    let server = zone(all).await;
    let mut answer = Scene::new(&[&server])
        .hosts_of("app.internal")
        .await
        .unwrap();
    answer.hosts.remove(&[10, 0, 0, 1].into()).unwrap()
}

#[tokio::test]
async fn each_address_has_the_name_that_leads_back_to_it() {
    let server = zone(vec![
        ip("app.internal", "10.0.0.1"),
        ip("app.internal", "10.0.0.2"),
        ptr(ONE, "App-1.Internal"),
        ptr(TWO, "app-2.internal"),
        ip("app-1.internal", "10.0.0.1"),
        ip("app-2.internal", "10.0.0.9"),
        ip("app-2.internal", "10.0.0.2"),
    ])
    .await;
    let answer = Scene::new(&[&server])
        .hosts_of("app.internal")
        .await
        .unwrap();
    assert_eq!(
        named(&answer),
        [
            ("10.0.0.1".into(), Ok("app-1.internal")),
            ("10.0.0.2".into(), Ok("app-2.internal"))
        ]
    );
    assert_eq!(ips(Ok(answer)), ["10.0.0.1", "10.0.0.2"]);
}

#[tokio::test]
async fn an_ipv6_address_too() {
    let reverse = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.a.a.d.f.ip6.arpa";
    let server = zone(vec![
        ip("app.internal", "fdaa::1"),
        ptr(reverse, "app-1.internal"),
        ip("app-1.internal", "10.0.0.1"),
        ip("app-1.internal", "fdaa::1"),
    ])
    .await;
    let scene = Scene::new(&[&server]);
    let answer = scene
        .follow("app.internal", Family::Inet6, HOSTS, LONG)
        .await;
    assert_eq!(
        named(&answer.unwrap()),
        [("fdaa::1".into(), Ok("app-1.internal"))]
    );
    assert!(
        server
            .seen()
            .iter()
            .all(|question| question.kind != RecordType::A),
        "asked in the address's own family only"
    );
}

#[tokio::test]
async fn a_literal_and_the_targets_of_services_are_followed() {
    let service = "_epmd._tcp.internal";
    let server = zone(vec![
        srv(service, 0, 0, 4369, "app-1.internal"),
        srv(service, 0, 0, 4369, "gone.internal"),
        ip("app-1.internal", "10.0.0.1"),
        ptr(ONE, "app-1.internal"),
    ])
    .await;
    let scene = Scene::new(&[&server]);
    let expected = [("10.0.0.1".to_string(), Ok("app-1.internal"))];
    assert_eq!(named(&scene.hosts_of("10.0.0.1").await.unwrap()), expected);
    let kind = Kind::Services(vec![Family::Inet]);
    let answer = scene
        .resolver
        .lookup(service.as_bytes(), &kind, HOSTS, LONG)
        .await;
    assert_eq!(named(answer.as_ref().unwrap()), expected);
    assert_eq!(services(answer).len(), 2);
}

#[tokio::test]
async fn nothing_more_is_asked_unless_wanted() {
    let server = zone(vec![
        ip("app.internal", "10.0.0.1"),
        ptr(ONE, "app-1.internal"),
    ])
    .await;
    let answer = Scene::new(&[&server]).a("app.internal").await.unwrap();
    assert!(answer.hosts.is_empty() && answer.registered.is_empty());
    assert_eq!(server.names(), ["app.internal"]);
}

#[tokio::test]
async fn an_address_without_a_name_says_why() {
    assert_eq!(host(vec![]).await, Err(NoHost::Lookup(Reason::NxDomain)));
    assert_eq!(
        host(vec![ip(ONE, "10.0.0.9")]).await,
        Err(NoHost::Lookup(Reason::NoRecords))
    );
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_or_nowhere_does_not_count() {
    let elsewhere = ip("elsewhere.internal", "10.0.0.9");
    let other_family = ip("six.internal", "fdaa::1");
    for pointers in [
        vec![ptr(ONE, "elsewhere.internal")],
        vec![ptr(ONE, "nowhere.internal")],
        vec![ptr(ONE, "six.internal")],
        vec![ptr(ONE, "elsewhere.internal"), ptr(ONE, "nowhere.internal")],
        // Names that no host can have are not even asked for.
        vec![ptr(ONE, "a b.internal"), ptr(ONE, "10.0.0.1")],
    ] {
        let mut records = vec![elsewhere.clone(), other_family.clone()];
        records.extend(pointers.clone());
        assert_eq!(
            host(records).await,
            Err(NoHost::Unconfirmed),
            "{pointers:?}"
        );
    }
}

#[tokio::test]
async fn of_several_names_the_first_by_alphabet_that_leads_back_whatever_their_order() {
    let names = ["c.internal", "a.internal", "b.internal", "d.internal"];
    let forward = ["c", "b", "d"].map(|name| ip(&format!("{name}.internal"), "10.0.0.1"));
    for shift in 0..names.len() {
        let mut records = forward.to_vec();
        records.extend((0..names.len()).map(|n| ptr(ONE, names[(n + shift) % names.len()])));
        assert_eq!(host(records).await, Ok("b.internal".into()));
    }
}

#[tokio::test]
async fn no_more_than_eight_names_are_tried() {
    let mut records = vec![ip("app.internal", "10.0.0.1")];
    records.extend((10..30).map(|n| ptr(ONE, &format!("n{n}.internal"))));
    records.push(ip("n18.internal", "10.0.0.1"));
    let server = zone(records).await;
    let answer = Scene::new(&[&server])
        .hosts_of("app.internal")
        .await
        .unwrap();
    assert_eq!(
        named(&answer),
        [("10.0.0.1".into(), Err(&NoHost::Unconfirmed))]
    );
    assert_eq!(server.seen().len(), 2 + 8);
}

/// RFC 2317: the owner of a few addresses has their names in a zone of his own.
#[tokio::test]
async fn a_delegated_reverse_zone_is_followed_through_its_alias() {
    let server = Server::start(|question| match question.name.as_str() {
        ONE => question.answer(vec![
            cname(ONE, "1.0-63.0.0.10.in-addr.arpa"),
            ptr("1.0-63.0.0.10.in-addr.arpa", "app-1.internal"),
        ]),
        "app-1.internal" => question.answer(vec![
            cname("app-1.internal", "node.internal"),
            ip("node.internal", "10.0.0.1"),
        ]),
        _ => question.code(ResponseCode::ServFail),
    })
    .await;
    let answer = Scene::new(&[&server]).hosts_of("10.0.0.1").await.unwrap();
    assert_eq!(named(&answer), [("10.0.0.1".into(), Ok("app-1.internal"))]);
}

#[tokio::test]
async fn a_lookup_back_that_fails_is_that_failure_unless_another_name_leads_back() {
    let is_there = |with_good: bool| {
        Server::start(move |question| match question.name.as_str() {
            ONE if with_good => {
                question.answer(vec![ptr(ONE, "bad.internal"), ptr(ONE, "good.internal")])
            }
            ONE => question.answer(vec![ptr(ONE, "bad.internal"), ptr(ONE, "gone.internal")]),
            "good.internal" => question.answer(vec![ip("good.internal", "10.0.0.1")]),
            "bad.internal" => question.code(ResponseCode::ServFail),
            _ => question.code(ResponseCode::NXDomain),
        })
    };
    for (with_good, expected) in [
        (false, Err(&NoHost::Lookup(Reason::ServFail))),
        (true, Ok("good.internal")),
    ] {
        let server = is_there(with_good).await;
        let scene = Scene::with_conf(&[&server], "options attempts:1");
        let answer = scene.hosts_of("10.0.0.1").await.unwrap();
        assert_eq!(named(&answer), [("10.0.0.1".into(), expected)]);
    }
}

#[tokio::test]
async fn a_name_server_in_trouble_loses_to_the_next_here_as_well() {
    let broken = Server::start(|question| question.code(ResponseCode::ServFail)).await;
    let alive = zone(vec![
        ptr(ONE, "app-1.internal"),
        ip("app-1.internal", "10.0.0.1"),
    ])
    .await;
    let answer = Scene::new(&[&broken, &alive])
        .hosts_of("10.0.0.1")
        .await
        .unwrap();
    assert_eq!(named(&answer), [("10.0.0.1".into(), Ok("app-1.internal"))]);
}

/// A reverse zone whose servers are gone is a common thing, and no reason to find nobody.
#[tokio::test]
async fn silence_about_names_ends_at_the_deadline_and_the_addresses_stay() {
    for silent in [ONE, "app-1.internal"] {
        let server = Server::start(move |question| match question.name.as_str() {
            name if name == silent => Reply::Silence,
            "app.internal" => question.answer(vec![
                ip("app.internal", "10.0.0.1"),
                ip("app.internal", "10.0.0.2"),
            ]),
            ONE => question.answer(vec![ptr(ONE, "app-1.internal")]),
            TWO => question.answer(vec![ptr(TWO, "app-2.internal")]),
            _ => question.answer(vec![ip("app-2.internal", "10.0.0.2")]),
        })
        .await;
        let timeout = Duration::from_millis(700);
        let began = Instant::now();
        let answer = Scene::new(&[&server])
            .follow("app.internal", Family::Inet, HOSTS, timeout)
            .await
            .unwrap();
        let took = began.elapsed();
        assert!(took >= timeout && took < timeout + GRACE, "{took:?}");
        assert_eq!(
            named(&answer),
            [
                ("10.0.0.1".into(), Err(&NoHost::Lookup(Reason::Timeout))),
                ("10.0.0.2".into(), Ok("app-2.internal")),
            ],
            "{silent}"
        );
        assert_eq!(ips(Ok(answer)), ["10.0.0.1", "10.0.0.2"]);
    }
}

#[tokio::test]
async fn an_answer_in_the_last_moment_is_kept_without_names() {
    let timeout = Duration::from_millis(1500);
    let server = Server::start(|question| match question.kind {
        RecordType::A => Reply::After(
            Duration::from_millis(1000),
            Box::new(question.answer(vec![ip("app.internal", "10.0.0.1")])),
        ),
        _ => Reply::Silence,
    })
    .await;
    let scene = Scene::with_epmd(&server, closed_port().await.port());
    let both = Follow {
        hosts: true,
        registered: true,
    };
    let began = Instant::now();
    let answer = scene
        .follow("app.internal", Family::Inet, both, timeout)
        .await;
    let took = began.elapsed();
    assert!(took < timeout + GRACE, "{took:?}");
    let answer = answer.unwrap();
    assert_eq!(
        named(&answer),
        [("10.0.0.1".into(), Err(&NoHost::Lookup(Reason::Timeout)))]
    );
    assert_eq!(answer.registered.len(), 1);
}

#[tokio::test]
async fn the_hosts_file_comes_first_both_ways() {
    let server = zone(vec![
        ptr(ONE, "dns.internal"),
        ip("dns.internal", "10.0.0.1"),
        ptr(TWO, "app-2.internal"),
    ])
    .await;
    let hosts = "10.0.0.1 App-1.internal app-1\n10.0.0.2 10.0.0.2\n10.0.0.2 app-2 app-2.internal\n";
    let scene = Scene::with_hosts(&[&server], "", hosts);
    assert_eq!(
        named(&scene.hosts_of("10.0.0.1").await.unwrap()),
        [("10.0.0.1".into(), Ok("app-1.internal"))]
    );
    assert!(server.seen().is_empty());

    let scene = Scene::with_hosts(&[&server], "", "10.0.0.2 bad/name app-2.internal\n");
    assert_eq!(
        named(&scene.hosts_of("10.0.0.2").await.unwrap()),
        [("10.0.0.2".into(), Ok("app-2.internal"))],
        "named by DNS, led back to by the file"
    );
    assert_eq!(server.names(), [TWO]);
}

/// A container's file has its own address with the name it was started by.
#[tokio::test]
async fn the_hosts_file_does_not_name_this_machine() {
    let reverse = "9.0.0.127.in-addr.arpa";
    let server = zone(vec![
        ptr(reverse, "app-1.internal"),
        ip("app-1.internal", "127.0.0.9"),
    ])
    .await;
    let scene = Scene::with_hosts(&[&server], "", "127.0.0.9 a1b2c3\n");
    assert_eq!(
        named(&scene.hosts_of("127.0.0.9").await.unwrap()),
        [("127.0.0.9".into(), Ok("app-1.internal"))]
    );
}
