//! The same on a real kernel: its lists, its flags, its routes.

use std::fs;
use std::net::IpAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use dns_mesh::own_address::source_towards;
use dns_mesh::{
    AddressOption, Family, Interface, NoAddress, OwnAddress, Request, interfaces, own_address,
};

use crate::namespace::inside;

/// A pair of wires, each other's ends, without IPv6 talk of their own.
const WIRES: &str = "
    ip link set lo up
    ip link add v0 type veth peer name v1
    ip link add w0 type veth peer name w1
    for device in v0 v1 w0 w1; do
        echo 0 > /proc/sys/net/ipv6/conf/$device/accept_dad
        echo 0 > /proc/sys/net/ipv6/conf/$device/router_solicitations
        ip link set $device up
    done
";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn request(family: Family, answer: &str) -> Request {
    Request {
        family: Some(family),
        answers: vec![answer.split_whitespace().map(ip).collect()],
        ..Request::default()
    }
}

/// `address interface because`, or all candidates.
fn own(family: Family, answer: &str) -> String {
    text(own_address(&request(family, answer)))
}

fn text(outcome: Result<OwnAddress, NoAddress>) -> String {
    match outcome {
        Ok(OwnAddress::Found { candidate, because }) => {
            format!("{} {} {because:?}", candidate.ip, candidate.interface)
        }
        Ok(OwnAddress::Undecided(all)) => {
            let all = all.iter().map(|one| one.ip.to_string()).collect::<Vec<_>>();
            format!("undecided {}", all.join(" "))
        }
        Err(why) => format!("{why:?}"),
    }
}

fn listed(address: &str) -> Interface {
    let mut all = interfaces().unwrap().into_iter();
    all.find(|interface| interface.ip == ip(address))
        .expect(address)
}

/// Docker Swarm's shape: an overlay with a virtual IP, and a bridge that is the way out.
#[test]
fn two_networks_and_a_virtual_ip() {
    let script = format!(
        "{WIRES}
        ip addr add 10.0.1.2/32 dev v0
        ip addr add 10.0.1.6/24 dev v0
        ip addr add 172.19.0.4/16 dev w0
        ip route add default via 172.19.0.1"
    );
    inside("namespaces::two_networks_and_a_virtual_ip", &script, || {
        let inet = |answer| own(Family::Inet, answer);
        assert_eq!(inet("10.0.1.7 10.0.1.6"), "10.0.1.6 v0 InAnswer");
        assert_eq!(inet("10.0.1.2 10.0.1.7 10.0.1.6"), "10.0.1.6 v0 InAnswer");
        assert_eq!(inet("10.0.1.7"), "10.0.1.6 v0 RouteToPeer");
        assert_eq!(inet("10.0.1.2"), "10.0.1.6 v0 RouteToPeer");
        assert_eq!(inet(""), "undecided 10.0.1.6 172.19.0.4");
        assert_eq!(inet("127.0.0.9"), "127.0.0.9 lo InAnswer");
        assert_eq!(own(Family::Inet6, ""), "OtherFamily(Inet)");

        let option = |option| {
            let request = Request {
                option: Some(option),
                ..request(Family::Inet, "")
            };
            text(own_address(&request))
        };
        assert_eq!(
            option(AddressOption::Interface("w0".into())),
            "172.19.0.4 w0 Option"
        );
        assert_eq!(
            option(AddressOption::Literal(ip("10.0.1.2"))),
            "10.0.1.2 v0 Option"
        );
        assert_eq!(
            option(AddressOption::Literal(ip("10.0.1.7"))),
            "NotLocal(10.0.1.7)"
        );
        assert_eq!(
            option(AddressOption::Interface("v1".into())),
            "NoInterface(\"v1\")"
        );
    });
}

#[test]
fn ipv6_addresses_that_do_not_last() {
    let script = format!(
        "{WIRES}
        echo 2 > /proc/sys/net/ipv6/conf/v0/use_tempaddr
        ip -6 addr add fd00:1::5/64 dev v0 preferred_lft 0
        ip -6 addr add fd00:1::6/64 dev v0
        ip -6 addr add fd00:2::6/64 dev v0 mngtmpaddr valid_lft 9000 preferred_lft 8000
        echo 1 > /proc/sys/net/ipv6/conf/w0/accept_dad
        echo 200 > /proc/sys/net/ipv6/conf/w0/dad_transmits
        ip -6 addr add fd00:3::6/64 dev w0"
    );
    inside(
        "namespaces::ipv6_addresses_that_do_not_last",
        &script,
        || {
            let temporary = temporary_address().to_string();
            assert!(listed("fd00:1::5").flags.deprecated);
            assert!(listed("fd00:3::6").flags.tentative);
            for lasting in ["fd00:1::6", "fd00:2::6", "::1"] {
                assert!(!listed(lasting).flags.is_fleeting(), "{lasting}");
            }

            let inet6 = |answer: &str| own(Family::Inet6, answer);
            let all = format!("fd00:1::5 fd00:3::6 {temporary} fd00:2::6");
            assert_eq!(inet6(&all), "fd00:2::6 v0 InAnswer");
            assert_eq!(inet6(""), "undecided fd00:2::6 fd00:1::6");
            // Linux prefers the temporary one as a source; peers are told the lasting one.
            assert_eq!(source_towards(ip("fd00:2::99")), Some(ip(&temporary)));
            assert_eq!(inet6("fd00:2::99"), "fd00:2::6 v0 RouteToPeer");
            assert_eq!(inet6("fd00:1::99"), "fd00:1::6 v0 RouteToPeer");
        },
    );
}

/// The kernel makes it on its own, a moment after the address it belongs to.
fn temporary_address() -> IpAddr {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let all = interfaces().unwrap();
        if let Some(found) = all.iter().find(|interface| interface.flags.temporary) {
            return found.ip;
        }
        assert!(Instant::now() < deadline, "no temporary address in {all:?}");
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_point_to_point_link() {
    let script = format!(
        "{WIRES}
        ip addr add 10.0.0.5/8 dev v0
        ip tuntap add mode tun t0
        ip link set t0 up
        ip addr add 10.9.0.1 peer 10.9.0.2/32 dev t0"
    );
    inside("namespaces::a_point_to_point_link", &script, || {
        let link = listed("10.9.0.1");
        // Up, though nobody holds its other end.
        assert_eq!((&*link.name, link.prefix_length), ("t0", 32));
        assert!(link.flags.point_to_point && !listed("10.0.0.5").flags.point_to_point);
        assert_eq!(own(Family::Inet, "10.9.0.2"), "10.9.0.1 t0 RouteToPeer");
        assert_eq!(own(Family::Inet, "10.9.0.1"), "10.9.0.1 t0 InAnswer");
        assert_eq!(own(Family::Inet, "10.7.7.7"), "10.0.0.5 v0 RouteToPeer");
    });
}

#[test]
fn a_route_that_names_its_source() {
    let script = format!(
        "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6
        {WIRES}
        ip addr add 10.0.1.6/24 dev v0
        ip addr add 10.0.1.9/24 dev v0
        ip addr add 172.19.0.4/16 dev w0
        ip route add 10.77.0.0/16 via 10.0.1.1 src 10.0.1.9"
    );
    inside("namespaces::a_route_that_names_its_source", &script, || {
        let sent = || {
            let path = "/sys/class/net/v0/statistics/tx_packets";
            fs::read_to_string(path).unwrap()
        };
        let before = sent();
        assert_eq!(own(Family::Inet, "10.77.0.3"), "10.0.1.9 v0 RouteToPeer");
        assert_eq!(own(Family::Inet, "10.0.1.7"), "10.0.1.6 v0 RouteToPeer");
        assert_eq!(sent(), before, "to ask for a route sends nothing");
        // No way there at all.
        assert_eq!(source_towards(ip("10.88.0.1")), None);
        assert_eq!(
            own(Family::Inet, "10.88.0.1"),
            "undecided 10.0.1.6 10.0.1.9 172.19.0.4"
        );
    });
}

#[test]
fn interfaces_that_are_down() {
    let script = format!(
        "{WIRES}
        ip addr add 10.0.1.6/24 dev v0
        ip addr add 172.19.0.4/16 dev w0
        ip link set w0 down
        ip link set w1 down
        ip link set v1 down"
    );
    inside("namespaces::interfaces_that_are_down", &script, || {
        // v0 is up without a carrier: its other end is down.
        assert_eq!(own(Family::Inet, ""), "10.0.1.6 v0 OnlyAddress");
        let request = Request {
            option: Some(AddressOption::Interface("w0".into())),
            ..request(Family::Inet, "")
        };
        assert_eq!(
            own_address(&request),
            Err(NoAddress::NoInterface("w0".into()))
        );
    });
}

#[test]
fn no_interface_up() {
    inside("namespaces::no_interface_up", "", || {
        assert_eq!(interfaces().unwrap(), []);
        assert_eq!(own_address(&Request::default()), Err(NoAddress::None));
        assert_eq!(own(Family::Inet, "127.0.0.1"), "None");
        assert_eq!(own(Family::Inet, "10.0.0.1"), "None");
    });
}

/// A host of a cluster whose services' addresses are on every host: kube-proxy keeps its device
/// down, kube-router has it up. Where the kernel has no dummy devices, another kind that has the
/// same looks stands for them.
#[test]
fn service_addresses() {
    let script = format!(
        "{WIRES}
        ip addr add 192.168.7.11/24 dev v0
        ip route add default via 192.168.7.1
        for device in kube-ipvs0 kube-dummy-if; do
            ip link add $device type dummy 2>/dev/null || ip link add $device type ifb
        done
        ip link set kube-dummy-if up
        for n in $(seq 1 40); do
            ip addr add 10.96.0.$n/32 dev kube-ipvs0
            ip addr add 10.97.0.$n/32 dev kube-dummy-if
        done"
    );
    inside("namespaces::service_addresses", &script, || {
        assert!(listed("10.97.0.7").flags.dummy && !listed("192.168.7.11").flags.dummy);
        let all = interfaces().unwrap();
        assert!(all.iter().all(|one| one.name != "kube-ipvs0"), "it is down");
        let only = "192.168.7.11 v0 OnlyAddress";
        for answer in [
            "",
            "10.96.0.7",
            "10.97.0.7",
            "10.96.0.7 10.97.0.7 10.97.0.8",
        ] {
            assert_eq!(own(Family::Inet, answer), only, "{answer}");
        }
        assert_eq!(
            own(Family::Inet, "10.97.0.7 192.168.7.12"),
            "192.168.7.11 v0 RouteToPeer"
        );
        assert_eq!(
            own(Family::Inet, "10.97.0.7 192.168.7.11"),
            "192.168.7.11 v0 InAnswer"
        );
    });
}
