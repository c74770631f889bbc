//! UDP, TCP and EDNS with one server; replies that are not to be believed.

use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::{Duration, Instant};

use dns_mesh::{Reason, TcpFault};
use hickory_resolver::proto::op::{Message, ResponseCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use crate::support::records::{ip, many};
use crate::support::scene::{LONG, Scene, ips, reason};
use crate::support::server::{Question, Reply, Server, closed_port};

fn app(question: &Question) -> Reply {
    question.answer(vec![ip("app.internal", "10.0.0.1")])
}

#[tokio::test]
async fn truncated_over_udp_is_asked_again_over_tcp() {
    let server = Server::start(|question| match question.tcp {
        true => question.answer(many("app.internal", 300)),
        false => {
            let mut partial = question.reply(ResponseCode::NoError);
            partial.answers = many("app.internal", 3);
            partial.metadata.truncation = true;
            Reply::Send(partial)
        }
    })
    .await;
    let answer = Scene::new(&[&server]).a("app.internal").await.unwrap();
    assert!(!answer.truncated);
    assert_eq!(ips(Ok(answer)).len(), 300);
    let over_tcp = server
        .seen()
        .iter()
        .map(|question| question.tcp)
        .collect::<Vec<_>>();
    assert_eq!(over_tcp, [false, true]);
}

#[tokio::test]
async fn truncated_over_tcp_as_well_is_an_error() {
    let server = Server::start(Question::truncated).await;
    let scene = Scene::with_conf(&[&server], "options attempts:1");
    assert_eq!(reason(scene.a("app.internal").await), Reason::Truncated);
}

/// What a port does with TCP, beside a server that cuts everything short over UDP.
enum AtTcp {
    Refuses,
    Hangs,
    HangsUp,
    /// Hangs up in the midst of its answer.
    Breaks,
    /// Cuts short over TCP as well, and hangs up.
    CutsShort,
}

async fn cutting_short(tcp: AtTcp) -> SocketAddr {
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = udp.local_addr().unwrap();
    if !matches!(tcp, AtTcp::Refuses) {
        let listener = TcpListener::bind(address).await.unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut question = vec![0; 512];
                let length = stream.read(&mut question).await.unwrap();
                match tcp {
                    AtTcp::Hangs => std::future::pending().await,
                    AtTcp::Breaks => stream.write_all(&[0, 200, 1, 2, 3]).await.unwrap(),
                    AtTcp::CutsShort => {
                        let reply = cut_short(&question[2..length]);
                        let length = u16::try_from(reply.len()).unwrap();
                        let reply = [&length.to_be_bytes(), &reply[..]].concat();
                        stream.write_all(&reply).await.unwrap();
                    }
                    AtTcp::HangsUp | AtTcp::Refuses => {}
                }
            }
        });
    }
    tokio::spawn(async move {
        let mut question = [0; 512];
        loop {
            let (length, peer) = udp.recv_from(&mut question).await.unwrap();
            let reply = cut_short(&question[..length]);
            udp.send_to(&reply, peer).await.unwrap();
        }
    });
    address
}

/// The question back, with TC.
fn cut_short(question: &[u8]) -> Vec<u8> {
    let mut message = Message::from_vec(question).unwrap().into_response();
    message.metadata.truncation = true;
    message.to_vec().unwrap()
}

#[tokio::test]
async fn truncated_over_udp_where_tcp_brings_nothing() {
    for (tcp, fault) in [
        (AtTcp::Refuses, TcpFault::Refused),
        (AtTcp::Hangs, TcpFault::Silent),
        (AtTcp::HangsUp, TcpFault::Closed),
        (AtTcp::Breaks, TcpFault::Closed),
    ] {
        let scene = Scene::at(cutting_short(tcp).await);
        let outcome = scene.a_within("app.internal", Duration::from_secs(1)).await;
        assert_eq!(reason(outcome), Reason::NoTcp(fault));
    }
    let scene = Scene::at(cutting_short(AtTcp::CutsShort).await);
    let outcome = scene.a_within("app.internal", Duration::from_secs(1)).await;
    assert_eq!(reason(outcome), Reason::Truncated);
}

/// Then it had no time.
#[tokio::test]
async fn a_server_that_was_late_over_udp_is_not_silent_over_tcp() {
    let server = Server::start(|question| match question.tcp {
        true => Reply::Silence,
        false => Reply::After(Duration::from_millis(700), Box::new(question.truncated())),
    })
    .await;
    let outcome = Scene::new(&[&server])
        .a_within("app.internal", Duration::from_secs(1))
        .await;
    assert_eq!(reason(outcome), Reason::Timeout);
}

#[tokio::test]
async fn use_vc_means_tcp_only() {
    let server = Server::start(app).await;
    let scene = Scene::with_conf(&[&server], "options use-vc");
    assert_eq!(ips(scene.a("app.internal").await), ["10.0.0.1"]);
    assert!(server.seen().iter().all(|question| question.tcp));
}

#[tokio::test]
async fn a_tcp_connection_is_used_again() {
    let server = Server::start(app).await;
    let scene = Scene::with_conf(&[&server], "options use-vc");
    for _ in 0..3 {
        assert_eq!(ips(scene.a("app.internal").await), ["10.0.0.1"]);
    }
}

/// hickory compares the question only over UDP.
#[tokio::test]
async fn a_reply_to_another_question_over_tcp_is_a_bad_reply() {
    let server = Server::start(|question| {
        let mut other = match question.name.as_str() {
            "empty.internal" => question.bytes(question.code(ResponseCode::NoError)),
            _ => question.bytes(app(question)),
        };
        other[13] = b'x';
        Reply::Raw(vec![other])
    })
    .await;
    let scene = Scene::with_conf(&[&server], "options use-vc attempts:1");
    for name in ["app.internal", "empty.internal"] {
        assert_eq!(reason(scene.a(name).await), Reason::BadReply, "{name}");
    }
}

/// A connection whose far end went silent must not swallow the lookups that follow.
#[tokio::test]
async fn a_dead_tcp_connection_is_not_used_again() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let count = AtomicUsize::new(0);
    let server = Server::start(move |question| match count.fetch_add(1, Ordering::SeqCst) {
        1 => Reply::After(LONG, Box::new(Reply::Silence)),
        _ => app(question),
    })
    .await;
    let scene = Scene::with_conf(&[&server], "options use-vc");
    assert_eq!(ips(scene.a("app.internal").await), ["10.0.0.1"]);
    let stuck = scene
        .a_within("app.internal", Duration::from_millis(200))
        .await;
    assert_eq!(reason(stuck), Reason::Timeout);
    assert_eq!(ips(scene.a("app.internal").await), ["10.0.0.1"]);
}

#[tokio::test]
async fn edns_is_on_and_given_up_for_servers_that_refuse_it() {
    for code in [ResponseCode::FormErr, ResponseCode::NotImp] {
        let server = Server::start(move |question| match question.edns {
            true => question.code(code),
            false => app(question),
        })
        .await;
        assert_eq!(
            ips(Scene::new(&[&server]).a("app.internal").await),
            ["10.0.0.1"],
            "{code}"
        );
        let edns = server
            .seen()
            .iter()
            .map(|question| question.edns)
            .collect::<Vec<_>>();
        assert_eq!(edns, [true, false], "{code}");
    }
}

#[tokio::test]
async fn a_formerr_of_a_bare_header_is_understood() {
    let server = Server::start(|question| match question.edns {
        true => {
            let mut bytes = question.bytes(question.code(ResponseCode::FormErr));
            bytes.truncate(12);
            bytes[4..].fill(0);
            Reply::Raw(vec![bytes])
        }
        false => app(question),
    })
    .await;
    assert_eq!(
        ips(Scene::new(&[&server]).a("app.internal").await),
        ["10.0.0.1"]
    );
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn junk_and_wrong_ids_before_the_right_answer_are_ignored() {
    let server = Server::start(|question| {
        let right = question.bytes(app(question));
        let mut wrong_id = question.bytes(question.answer(vec![ip("app.internal", "10.6.6.6")]));
        wrong_id[0] ^= 0xff;
        let mut other = question.bytes(question.answer(vec![ip("app.internal", "10.6.6.6")]));
        other[13] = b'x';
        let mut junk = vec![0xa5; 40];
        junk[..2].copy_from_slice(&[right[0] ^ 0xff, right[1]]);
        Reply::Raw(vec![vec![], vec![1], junk, wrong_id, other, right])
    })
    .await;
    assert_eq!(
        ips(Scene::new(&[&server]).a("app.internal").await),
        ["10.0.0.1"]
    );
}

#[tokio::test]
async fn a_reply_that_cannot_be_decoded_is_a_bad_reply_at_once() {
    let server = Server::start(|question| {
        let mut bytes = question.bytes(app(question));
        bytes.truncate(bytes.len() - 2);
        Reply::Raw(vec![bytes])
    })
    .await;
    let scene = Scene::with_conf(&[&server], "options attempts:1");
    let began = Instant::now();
    assert_eq!(reason(scene.a("app.internal").await), Reason::BadReply);
    assert!(began.elapsed() < LONG / 4, "waited for a second reply");
}

#[tokio::test]
async fn a_closed_port_is_told_at_once() {
    let address = closed_port().await;
    let scene = Scene::at(address);
    let began = Instant::now();
    let failure = scene.a("app.internal").await.unwrap_err();
    assert!(
        matches!(&failure.reason, Reason::Network(text) if text.contains("refused")),
        "{failure:?}"
    );
    assert_eq!(failure.server, Some(address.to_string()));
    assert!(began.elapsed() < LONG / 4, "waited for the time to run out");
}

#[tokio::test]
async fn an_ipv6_name_server() {
    let server = Server::start_at((Ipv6Addr::LOCALHOST, 0).into(), app).await;
    let answer = Scene::new(&[&server]).a("app.internal").await.unwrap();
    assert_eq!(answer.server, format!("[::1]:{}", server.port()));
}

/// Only a link-local address needs its zone to be reached; not every machine has one.
#[tokio::test]
async fn a_name_server_with_a_zone_id() {
    let link_local = dns_mesh::interfaces()
        .unwrap()
        .into_iter()
        .find_map(|interface| match interface.ip {
            std::net::IpAddr::V6(v6) if v6.is_unicast_link_local() => Some((interface.name, v6)),
            _ => None,
        });
    let (zone, ip) = link_local.unwrap_or(("lo".into(), Ipv6Addr::LOCALHOST));
    let index = std::fs::read_to_string(format!("/sys/class/net/{zone}/ifindex"))
        .map_or(1, |text| text.trim().parse().unwrap());
    let address = SocketAddr::V6(SocketAddrV6::new(ip, 0, 0, index));
    let server = Server::start_at(address, |question| match question.tcp {
        true => app(question),
        false => question.truncated(),
    })
    .await;
    let scene = Scene::following(&format!("nameserver {ip}%{zone}"), server.port());
    assert_eq!(ips(scene.a("app.internal").await), ["10.0.0.1"]);
    assert_eq!(server.seen().len(), 2, "over UDP, then over TCP");
}
