//! Where "my addresses that are in the answer" is not simply the answer.

use crate::machine::Machine;

/// Two networks with something of ours in each; out by the first.
fn two_networks() -> Machine {
    Machine::new(
        "lo 127.0.0.1/8
         lo ::1/128
         eth0 10.0.0.5/24
         eth1 10.1.0.5/24",
    )
    .route("0.0.0.0/0", "10.0.0.5")
}

fn one_network() -> Machine {
    Machine::new(
        "lo 127.0.0.1/8
         eth0 10.0.0.5/24",
    )
    .route("0.0.0.0/0", "10.0.0.5")
}

#[test]
fn not_yet_in_dns() {
    two_networks()
        .inet()
        .answer("10.1.0.6 10.1.0.7")
        .says("10.1.0.5 on eth1: route to peer");
    two_networks()
        .inet()
        .answer("10.1.0.6")
        .hint("10.0.0.5")
        .says("10.1.0.5 on eth1: route to peer");
}

/// Route 53 gives eight at random. Which of them came must not matter.
#[test]
fn capped_answer() {
    for answer in ["10.1.0.5 10.1.0.6", "10.1.0.7 10.1.0.8", "10.1.0.9"] {
        let machine = two_networks().inet().answer(answer);
        let because = if answer.contains("10.1.0.5") {
            "in answer"
        } else {
            "route to peer"
        };
        machine.says(&format!("10.1.0.5 on eth1: {because}"));
    }
}

#[test]
fn first_node_ever() {
    one_network().inet().says("10.0.0.5 on eth0: only address");
    one_network()
        .inet()
        .answer("")
        .says("10.0.0.5 on eth0: only address");
    two_networks()
        .inet()
        .answer("")
        .says("undecided: 10.0.0.5 on eth0, 10.1.0.5 on eth1");
    two_networks()
        .inet()
        .answer("")
        .hint("10.1.0.5")
        .says("10.1.0.5 on eth1: platform hint");
}

#[test]
fn hints_must_be_ours() {
    let machine = || two_networks().inet();
    machine()
        .hint("10.9.9.9")
        .hint(" 10.1.0.5\n")
        .says("10.1.0.5 on eth1: platform hint");
    for hint in [
        "10.9.9.9",
        "",
        "eth1",
        "10.1.0.5,fd00::5",
        "127.0.0.1",
        "::1",
        "fd00::5",
    ] {
        machine()
            .hint(hint)
            .says("undecided: 10.0.0.5 on eth0, 10.1.0.5 on eth1");
    }
}

/// A ClusterIP is nobody's address; the way to it is still the right way.
#[test]
fn virtual_ip_in_the_answer() {
    one_network()
        .inet()
        .answer("10.43.7.7")
        .says("10.0.0.5 on eth0: route to peer");
}

/// keepalived puts the virtual IP on whichever machine is in charge.
#[test]
fn virtual_ip_on_my_interface() {
    let machine = || {
        Machine::new(
            "lo 127.0.0.1/8
             eth0 10.0.1.2/32
             eth0 10.0.1.6/24",
        )
        .route("0.0.0.0/0", "10.0.1.6")
    };
    let right = "10.0.1.6 on eth0: in answer";
    machine().inet().answer("10.0.1.2 10.0.1.6").says(right);
    machine().inet().answer("10.0.1.6 10.0.1.7").says(right);
    machine()
        .inet()
        .answer("10.0.1.2")
        .says("10.0.1.6 on eth0: route to peer");
    machine()
        .inet()
        .answer("10.0.1.2 10.0.1.7")
        .says("10.0.1.6 on eth0: route to peer");
}

/// The wider address counts for more also where neither lies in the other's network.
#[test]
fn virtual_ip_of_another_network_beside_mine() {
    let machine = || {
        Machine::new(
            "eth0 10.0.1.6/24
             eth1 198.51.100.7/32
             eth0 fd00::6/64
             eth1 fd00:7::7/128",
        )
    };
    machine()
        .inet()
        .answer("198.51.100.7 10.0.1.6")
        .says("10.0.1.6 on eth0: in answer");
    machine()
        .inet()
        .answer("198.51.100.7")
        .says("198.51.100.7 on eth1: in answer");
    machine()
        .inet6()
        .answer("fd00:7::7 fd00::6")
        .says("fd00::6 on eth0: in answer");
}

/// Every host of a cluster has the address of every service, where kube-router (on
/// kube-dummy-if, which is up) or the local DNS cache runs. A service's name lists its own.
#[test]
fn service_address_on_a_dummy_device() {
    let host = |own: &str| {
        Machine::new(&format!(
            "lo 127.0.0.1/8
             lo ::1/128
             {own}
             kube-dummy-if 10.96.0.1/32 dummy
             kube-dummy-if 10.96.0.10/32 dummy
             kube-dummy-if fd00:96::a/128 dummy
             nodelocaldns 169.254.20.10/32 dummy
             nodelocaldns 10.96.0.10/32 dummy"
        ))
        .route("0.0.0.0/0", "192.168.7.11")
    };
    // As wide as usual, or the /32 that Google and Amazon give.
    for own in ["eth0 192.168.7.11/24", "eth0 192.168.7.11/32"] {
        let host = || host(&format!("{own}\neth0 fd00:7::11/64"));
        let only = "192.168.7.11 on eth0: only address";
        host().inet().says(only);
        host().inet().answer("10.96.0.10").says(only);
        host().inet().answer("10.96.0.10 10.96.0.1").says(only);
        host().inet().answer("169.254.20.10").says(only);
        host()
            .inet()
            .answer("10.96.0.10 192.168.7.12")
            .says("192.168.7.11 on eth0: route to peer");
        host()
            .inet()
            .answer("10.96.0.10 192.168.7.11")
            .says("192.168.7.11 on eth0: in answer");
        host()
            .inet()
            .answer("10.96.0.10")
            .answer("192.168.7.11")
            .says("192.168.7.11 on eth0: in answer");
        host()
            .inet6()
            .answer("fd00:96::a")
            .says("fd00:7::11 on eth0: only address");
        host()
            .inet()
            .subnet("0.0.0.0/0")
            .answer("10.96.0.10")
            .says("192.168.7.11 on eth0: option");
        // Whoever names it means it.
        host()
            .inet()
            .literal("10.96.0.10")
            .says("10.96.0.10 on kube-dummy-if: option");
        host()
            .inet()
            .subnet("10.96.0.10")
            .says("10.96.0.10 on kube-dummy-if: option");
    }
}

/// The real machines behind a load balancer (LVS) hold its address on loopback or a dummy
/// device, and so does each machine of an anycast service.
#[test]
fn load_balancers_address_on_no_wire() {
    for place in [
        "lo 198.51.100.7/32",
        "lo:0 198.51.100.7/32",
        "dummy0 198.51.100.7/32 dummy",
    ] {
        let machine = || {
            Machine::new(&format!("lo 127.0.0.1/8\neth0 10.0.1.6/24\n{place}"))
                .route("0.0.0.0/0", "10.0.1.6")
                .inet()
        };
        machine().says("10.0.1.6 on eth0: only address");
        machine()
            .answer("198.51.100.7")
            .says("10.0.1.6 on eth0: only address");
        machine()
            .answer("198.51.100.7 10.0.1.6 10.0.1.7")
            .says("10.0.1.6 on eth0: in answer");
    }
}

/// Where routers are told of each host (BGP), a host's own address may be on loopback, or on a
/// dummy device, with nothing but links on the wires.
#[test]
fn own_address_on_no_wire() {
    for flag in ["lo 10.5.0.7/32", "dummy0 10.5.0.7/32 dummy"] {
        let name = flag.split(' ').next().unwrap();
        let alone = || Machine::new(&format!("lo 127.0.0.1/8\n{flag}\neth0 fe80::7/64")).inet();
        alone().says(&format!("10.5.0.7 on {name}: only address"));
        for answer in ["10.5.0.7", "10.5.0.8 10.5.0.7"] {
            alone()
                .answer(answer)
                .says(&format!("10.5.0.7 on {name}: in answer"));
        }
    }
    let beside = || Machine::new("lo 127.0.0.1/8\nlo 10.5.0.7/32\neth0 172.31.0.2/31").inet();
    beside()
        .answer("10.5.0.8 10.5.0.7")
        .says("10.5.0.7 on lo: in answer");
    beside().interface("lo").says("10.5.0.7 on lo: option");
    beside()
        .subnet("10.5.0.0/16")
        .says("10.5.0.7 on lo: option");
}

#[test]
fn only_a_single_address() {
    let machine = Machine::new("eth0 10.0.97.30/32");
    machine
        .inet()
        .answer("10.0.97.30 10.0.97.31")
        .says("10.0.97.30 on eth0: in answer");
    // DHCPv6 gives a /128 inside the network that the router announces: no virtual IP.
    let machine = || Machine::new("eth0 2001:470::abc/128\neth0 2001:470::a1b2:c3d4/64");
    machine()
        .inet6()
        .answer("2001:470::abc")
        .says("2001:470::abc on eth0: in answer");
}

/// Behind address translation the answer holds nobody's interface. The address is the one there
/// is, and not `in answer`: that is how it is told.
#[test]
fn address_translation() {
    let container = || {
        Machine::new(
            "lo 127.0.0.1/8
             eth0 172.26.64.9/20",
        )
        .route("0.0.0.0/0", "172.26.64.9")
    };
    container()
        .inet()
        .answer("10.1.0.3 10.1.0.4")
        .says("172.26.64.9 on eth0: route to peer");
    // Without a way there it is still all there is.
    Machine::new("eth0 172.26.64.9/20")
        .inet()
        .answer("10.1.0.3")
        .says("172.26.64.9 on eth0: only address");
}

/// Several nodes at one address, which the address cannot tell: each finds the same.
#[test]
fn shared_address() {
    one_network()
        .inet()
        .answer("10.0.0.5 10.0.0.5")
        .says("10.0.0.5 on eth0: in answer");
}

#[test]
fn several_networks_each_in_an_answer() {
    let zero = "10.0.0.5 10.0.0.6";
    let one = "10.1.0.6 10.1.0.5";
    two_networks()
        .inet()
        .answer(one)
        .answer(zero)
        .says("10.1.0.5 on eth1: in answer");
    two_networks()
        .inet()
        .answer(zero)
        .answer(one)
        .says("10.0.0.5 on eth0: in answer");
    // An item that we are not in says nothing yet.
    two_networks()
        .inet()
        .answer("10.9.0.1")
        .answer(one)
        .says("10.1.0.5 on eth1: in answer");
}

#[test]
fn several_networks_in_one_answer() {
    let machine = || two_networks().inet();
    let more = "10.0.0.5 10.1.0.5 10.1.0.6";
    machine().answer(more).says("10.1.0.5 on eth1: in answer");
    machine()
        .answer("10.1.0.5 10.0.0.5")
        .says("undecided: 10.0.0.5 on eth0, 10.1.0.5 on eth1");
    // Each address counts for the narrowest network it is in.
    let machine = Machine::new("eth0 10.0.0.5/8\neth1 10.1.0.5/24").inet();
    machine
        .answer("10.0.0.5 10.1.0.5 10.1.0.6")
        .says("10.1.0.5 on eth1: in answer");
}

#[test]
fn peers_in_several_networks() {
    let machine = || two_networks().inet();
    machine()
        .answer("10.0.0.9 10.1.0.8 10.1.0.9")
        .says("10.1.0.5 on eth1: route to peer");
    machine()
        .answer("10.0.0.9")
        .answer("10.1.0.8 10.1.0.9")
        .says("10.0.0.5 on eth0: route to peer");
    machine()
        .answer("10.1.0.9 10.0.0.9")
        .says("undecided: 10.0.0.5 on eth0, 10.1.0.5 on eth1");
}

#[test]
fn several_addresses_on_one_interface() {
    let machine = || {
        Machine::new(
            "eth0 10.0.0.5/24
             eth0 10.0.0.6/24",
        )
        .inet()
    };
    machine()
        .answer("10.0.0.6 10.0.0.7")
        .says("10.0.0.6 on eth0: in answer");
    machine()
        .answer("10.0.0.7")
        .says("10.0.0.5 on eth0: route to peer");
    let both = "undecided: 10.0.0.5 on eth0, 10.0.0.6 on eth0";
    machine().answer("10.0.0.5 10.0.0.6 10.0.0.7").says(both);
    machine().says(both);
}

/// As on routers and hosts of many unnumbered links.
#[test]
fn one_address_on_several_interfaces() {
    let machine = || Machine::new("eth0 10.0.0.5/24\neth1 10.0.0.5/24").inet();
    machine().says("10.0.0.5 on eth0: only address");
    machine()
        .answer("10.0.0.5")
        .says("10.0.0.5 on eth0: in answer");
}

#[test]
fn dual_stack_answer() {
    let machine = || {
        Machine::new(
            "lo 127.0.0.1/8
             eth0 10.244.1.7/24
             eth0 fd00:10:244:1::7/64
             eth0 fe80::7/64",
        )
    };
    let answer = "fd00:10:244:1::7 10.244.1.7 10.244.1.8";
    machine()
        .inet()
        .answer(answer)
        .says("10.244.1.7 on eth0: in answer");
    machine()
        .inet6()
        .answer(answer)
        .says("fd00:10:244:1::7 on eth0: in answer");
    machine()
        .answer(answer)
        .says("10.244.1.7 on eth0: in answer");
    machine().says("10.244.1.7 on eth0: only address");
    machine()
        .answer("fd00:10:244:1::8")
        .hint("10.244.1.7")
        .says("fd00:10:244:1::7 on eth0: route to peer");
    machine()
        .inet6()
        .says("fd00:10:244:1::7 on eth0: only address");
}

#[test]
fn a_hint_of_the_other_family() {
    let machine = || Machine::new("eth0 10.244.1.7/24\neth0 fd00::7/64\neth1 fd00:1::7/64");
    machine()
        .inet()
        .hint("fd00::7")
        .says("10.244.1.7 on eth0: only address");
    machine()
        .inet6()
        .hint("10.244.1.7")
        .hint("fd00::7")
        .says("fd00::7 on eth0: platform hint");
    machine()
        .hint("fd00::7")
        .says("fd00::7 on eth0: platform hint");
}

/// Addresses are compared as numbers. The text of the name is `node_name`'s.
#[test]
fn ipv6_written_differently() {
    let machine = Machine::new("eth0 FD00:0:0::00A5/64").inet6();
    machine
        .answer("fd00:0000::a5")
        .says("fd00::a5 on eth0: in answer");
}

#[test]
fn fleeting_addresses() {
    for flag in ["temporary", "deprecated", "tentative"] {
        let machine = || {
            Machine::new(&format!(
                "eth0 fd00::5/64 {flag}
                 eth0 fd00::6/64"
            ))
            .inet6()
        };
        machine().says("fd00::6 on eth0: only address");
        machine()
            .answer("fd00::5 fd00::6")
            .says("fd00::6 on eth0: in answer");
        machine().interface("eth0").says("fd00::6 on eth0: option");
        Machine::new(&format!("eth0 fd00::5/64 {flag}"))
            .inet6()
            .answer("fd00::5")
            .says("no address");
    }
}

/// Linux sends from a temporary address where it has one. The name's is the lasting one that
/// is on the same interface.
#[test]
fn the_lasting_address_beside_a_temporary_one() {
    let lasting = "eth0 fd00::6/64\neth0 fd00::7777/64 temporary\neth1 fd00::8/64";
    let machine = Machine::new(lasting).route("::/0", "fd00::7777").inet6();
    machine
        .answer("fd00:9::1")
        .says("fd00::6 on eth0: route to peer");
    let two = "eth0 fd00::6/64\neth0 fd00::7/64\neth0 fd00::7777/64 temporary";
    let machine = Machine::new(two).route("::/0", "fd00::7777").inet6();
    machine
        .answer("fd00:9::1")
        .says("undecided: fd00::6 on eth0, fd00::7 on eth0");
}

/// An interface that changes later is another list, and may give another address: whoever holds
/// a name keeps it.
#[test]
fn another_list_another_address() {
    one_network().inet().says("10.0.0.5 on eth0: only address");
    Machine::new("eth0 10.0.0.77/24")
        .inet()
        .says("10.0.0.77 on eth0: only address");
}

#[test]
fn addresses_that_stand_for_others() {
    let machine = || {
        Machine::new(
            "eth0 ::ffff:10.0.0.5/96
             eth0 64:ff9b::a00:5/96
             eth0 2002:a00:5::1/64
             clat4 192.0.0.2/32
             eth0 fd00::5/64",
        )
    };
    let answer = "::ffff:10.0.0.5 64:ff9b::a00:5 2002:a00:5::1 fd00::5";
    machine()
        .inet6()
        .answer(answer)
        .says("fd00::5 on eth0: in answer");
    machine()
        .inet6()
        .answer("64:ff9b::a00:5")
        .says("fd00::5 on eth0: only address");
    machine()
        .inet()
        .answer("192.0.0.2")
        .says("other family: Inet6");
    machine().inet().says("other family: Inet6");
}

/// A container's hosts file, or a name server that knows a machine by its loopback address.
#[test]
fn loopback_in_the_answer() {
    one_network()
        .inet()
        .answer("127.0.1.1 10.0.0.5")
        .says("10.0.0.5 on eth0: in answer");
    one_network()
        .inet()
        .answer("127.0.1.1")
        .answer("10.0.0.5")
        .says("10.0.0.5 on eth0: in answer");
    one_network()
        .inet()
        .answer("127.0.0.1 10.0.0.6")
        .says("10.0.0.5 on eth0: route to peer");
    one_network()
        .inet()
        .answer("127.0.0.1 10.77.0.6")
        .says("10.0.0.5 on eth0: route to peer");
    two_networks()
        .inet6()
        .answer("::1 fd00::1")
        .says("other family: Inet");
}

#[cfg(target_os = "linux")]
#[test]
fn a_cluster_on_loopback() {
    one_network()
        .inet()
        .answer("127.0.0.2")
        .says("127.0.0.2 on lo: in answer");
    let both = "undecided: 127.0.0.2 on lo, 127.0.0.3 on lo";
    one_network()
        .inet()
        .answer("127.0.0.2 127.0.0.3")
        .says(both);
    one_network()
        .inet()
        .answer("127.0.0.2 127.0.0.2")
        .says("127.0.0.2 on lo: in answer");
    two_networks()
        .inet6()
        .answer("::1")
        .says("::1 on lo: in answer");
    // Not while the interface is down.
    Machine::new("eth0 10.0.0.5/24")
        .inet()
        .answer("127.0.0.2")
        .says("10.0.0.5 on eth0: only address");
}

#[test]
fn a_cluster_on_one_wire() {
    let machine = || Machine::new("eth0 169.254.7.7/16\neth0 fe80::7/64");
    machine()
        .inet()
        .answer("169.254.7.7 169.254.7.8")
        .says("169.254.7.7 on eth0: in answer");
    machine()
        .inet6()
        .answer("fe80::7 fe80::8")
        .says("no address");
    machine().inet().says("no address");
}

#[test]
fn no_address_at_all() {
    for machine in [
        Machine::new(""),
        Machine::new("lo 127.0.0.1/8\nlo ::1/128"),
        Machine::new("lo 127.0.0.1/8\neth0 fe80::7/64"),
        // No peer could use those of the other family either.
        Machine::new("lo 127.0.0.1/8\neth0 fe80::7/64").inet(),
        Machine::new("lo 127.0.0.1/8\neth0 fe80::7/64").inet6(),
    ] {
        machine.says("no address");
    }
    // There is nothing to bring up: the VM speaks the other IP version.
    let machine = Machine::new("eth0 fd00::5/64").inet();
    machine.says("other family: Inet6");
    let machine = Machine::new("eth0 10.0.0.5/24").inet6();
    machine.says("other family: Inet");
}

/// What cannot be asked the kernel about, or leads nowhere, is no peer.
#[test]
fn peers_that_are_none() {
    let machine = two_networks()
        .inet()
        .route("240.0.0.0/4", "10.1.0.5")
        .route("224.0.0.0/4", "10.1.0.5");
    let machine = machine.answer("255.255.255.255 224.0.0.251 0.0.0.0 fe80::1");
    machine.says("undecided: 10.0.0.5 on eth0, 10.1.0.5 on eth1");
}

/// However many peers there are, the kernel is asked about a few; and always the same ones.
#[test]
fn a_large_answer_in_any_order() {
    let ips = (0..4096)
        .map(|n| format!("10.1.{}.{}", 1 + n / 256, n % 256))
        .collect::<Vec<_>>();
    let machine = || two_networks().inet().route("10.1.1.0/28", "10.1.0.5");
    machine()
        .answer(&ips.join(" "))
        .says("10.1.0.5 on eth1: route to peer");
    let reversed = ips.into_iter().rev().collect::<Vec<_>>();
    machine()
        .answer(&reversed.join(" "))
        .says("10.1.0.5 on eth1: route to peer");
}
