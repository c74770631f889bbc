//! The interface lists of real platforms.

use crate::machine::Machine;

/// Amazon's VPC CNI: one /32, everything else behind a router.
fn vpc_cni_pod() -> Machine {
    Machine::new(
        "lo 127.0.0.1/8
         lo ::1/128
         eth0 10.0.97.30/32",
    )
    .route("0.0.0.0/0", "10.0.97.30")
}

#[test]
fn amazon_vpc_cni() {
    let by_answer = "10.0.97.30 on eth0: in answer";
    vpc_cni_pod()
        .inet()
        .answer("10.0.96.3 10.0.97.30")
        .says(by_answer);
    let by_route = "10.0.97.30 on eth0: route to peer";
    vpc_cni_pod().inet().answer("10.0.96.3").says(by_route);
    let alone = "10.0.97.30 on eth0: only address";
    vpc_cni_pod().inet().says(alone);
}

/// A Swarm task whose service publishes a port: ingress first, the overlay, the way out. Both
/// overlays also carry a virtual IP of the service.
fn swarm_task() -> Machine {
    Machine::new(
        "lo 127.0.0.1/8
         eth0 10.0.0.5/24
         eth0 10.0.0.4/32
         eth2 172.19.0.4/16
         eth1 10.0.1.7/24
         eth1 10.0.1.2/32",
    )
    .route("0.0.0.0/0", "172.19.0.4")
}

#[test]
fn docker_swarm() {
    let right = "10.0.1.7 on eth1: in answer";
    swarm_task().inet().answer("10.0.1.6 10.0.1.7").says(right);
    // During an update only the other task may be in it.
    let right = "10.0.1.7 on eth1: route to peer";
    swarm_task().inet().answer("10.0.1.6").says(right);
    // The service's name instead of tasks.<service>: all tasks would take the virtual IP's name.
    let right = "10.0.1.7 on eth1: route to peer";
    swarm_task().inet().answer("10.0.1.2").says(right);
    let right = "10.0.1.7 on eth1: in answer";
    swarm_task()
        .inet()
        .answer("10.0.1.2 10.0.1.7 10.0.1.6")
        .says(right);
    swarm_task()
        .inet()
        .answer("10.0.1.2")
        .answer("10.0.1.6 10.0.1.7")
        .says(right);
    // Nobody known yet: to guess would be the ingress network, or the bridge.
    swarm_task()
        .inet()
        .answer("")
        .says("undecided: 10.0.0.5 on eth0, 172.19.0.4 on eth2, 10.0.1.7 on eth1");
}

#[test]
fn docker_swarm_without_a_published_port() {
    let task = || {
        Machine::new(
            "lo 127.0.0.1/8
             eth0 10.0.1.4/24
             eth1 172.19.0.4/16",
        )
        .route("0.0.0.0/0", "172.19.0.4")
    };
    task()
        .inet()
        .answer("10.0.1.4")
        .says("10.0.1.4 on eth0: in answer");
    task()
        .inet()
        .answer("10.0.1.6")
        .says("10.0.1.4 on eth0: route to peer");
}

#[test]
fn amazon_fargate() {
    let task = || {
        Machine::new(
            "lo 127.0.0.1/8
             eth0 169.254.172.2/22
             eth1 10.0.0.35/24",
        )
        .route("0.0.0.0/0", "10.0.0.35")
    };
    let right = "10.0.0.35 on eth1: in answer";
    task().inet().answer("10.0.1.7 10.0.0.35").says(right);
    let right = "10.0.0.35 on eth1: route to peer";
    task().inet().answer("10.0.1.7").says(right);
    let right = "10.0.0.35 on eth1: only address";
    task().inet().says(right);
}

#[test]
fn fly() {
    let machine = || {
        Machine::new(
            "lo 127.0.0.1/8
             lo ::1/128
             eth0 172.19.4.2/29
             eth0 172.19.4.3/29
             eth0 2604:1380:4091:1403::3/127
             eth0 fdaa:0:1:a7b:7d:ea83:d28b:2/112
             eth0 fe80::dcad:f0ff:fe5f:1/64",
        )
        .route("::/0", "2604:1380:4091:1403::3")
        .route("fdaa::/16", "fdaa:0:1:a7b:7d:ea83:d28b:2")
    };
    let peers = "fdaa:0:1:a7b:7d:1:1:2 fdaa:0:1:a7b:7d:ea83:d28b:2";
    let by_answer = "fdaa:0:1:a7b:7d:ea83:d28b:2 on eth0: in answer";
    machine().inet6().answer(peers).says(by_answer);
    // Before -proto_dist is known: only AAAA records are there, so IPv6 it is.
    machine().answer(peers).says(by_answer);
    let by_route = "fdaa:0:1:a7b:7d:ea83:d28b:2 on eth0: route to peer";
    machine()
        .inet6()
        .answer("fdaa:0:1:a7b:7d:1:1:2")
        .says(by_route);
    machine().answer("fdaa:0:1:a7b:7d:1:1:2").says(by_route);
    let by_hint = "fdaa:0:1:a7b:7d:ea83:d28b:2 on eth0: platform hint";
    machine().hint("fdaa:0:1:a7b:7d:ea83:d28b:2").says(by_hint);
}

#[test]
fn google_compute_engine() {
    let machine = || {
        Machine::new(
            "lo 127.0.0.1/8
             ens4 10.31.150.1/32
             docker0 172.17.0.1/16",
        )
        .route("0.0.0.0/0", "10.31.150.1")
    };
    machine()
        .inet()
        .answer("10.31.150.1 10.31.150.2")
        .says("10.31.150.1 on ens4: in answer");
    machine()
        .inet()
        .answer("10.31.150.2")
        .says("10.31.150.1 on ens4: route to peer");
}

#[test]
fn tailscale_beside_a_lan() {
    let laptop = || {
        Machine::new(
            "lo 127.0.0.1/8
             wlan0 192.168.1.23/24
             tailscale0 100.101.102.103/32 point-to-point",
        )
        .route("0.0.0.0/0", "192.168.1.23")
        .route("100.64.0.0/10", "100.101.102.103")
    };
    let right = "100.101.102.103 on tailscale0: in answer";
    laptop()
        .inet()
        .answer("100.70.0.9")
        .answer("100.101.102.103")
        .says(right);
    let right = "100.101.102.103 on tailscale0: route to peer";
    laptop().inet().answer("100.70.0.9").says(right);
    let right = "192.168.1.23 on wlan0: in answer";
    laptop()
        .inet()
        .answer("192.168.1.23 192.168.1.24")
        .says(right);
}

/// Rancher 1.x: the overlay's address is a second one on Docker's own interface.
#[test]
fn docker_bridge_beside_an_overlay() {
    for addresses in [
        "lo 127.0.0.1/8
         eth0 172.17.0.5/16
         eth0 10.42.88.7/16",
        "lo 127.0.0.1/8
         docker0 172.17.0.1/16
         overlay0 10.42.88.7/16",
    ] {
        let host = || Machine::new(addresses).route("0.0.0.0/0", addresses_first(addresses));
        let name = if addresses.contains("overlay0") {
            "overlay0"
        } else {
            "eth0"
        };
        let answer = "10.42.88.7 10.42.3.9";
        host()
            .inet()
            .answer(answer)
            .says(&format!("10.42.88.7 on {name}: in answer"));
        host()
            .inet()
            .answer("10.42.3.9")
            .says(&format!("10.42.88.7 on {name}: route to peer"));
    }
}

fn addresses_first(addresses: &str) -> &'static str {
    if addresses.contains("172.17.0.5") {
        "172.17.0.5"
    } else {
        "172.17.0.1"
    }
}

/// A host of a cluster with kube-proxy in IPVS mode has every ClusterIP as a /32; that interface
/// is down, so it is not in the list at all. Calico and flannel give the host an address of its
/// own in the pods' network.
#[test]
fn kubernetes_host_network() {
    let host = || {
        Machine::new(
            "lo 127.0.0.1/8
             eth0 192.168.7.11/24
             cni0 10.42.0.1/24
             flannel.1 10.42.0.0/32",
        )
        .route("0.0.0.0/0", "192.168.7.11")
        .route("10.42.0.0/16", "10.42.0.0")
    };
    host()
        .inet()
        .answer("192.168.7.12 192.168.7.11")
        .says("192.168.7.11 on eth0: in answer");
    host()
        .inet()
        .answer("192.168.7.12")
        .says("192.168.7.11 on eth0: route to peer");
}

/// The wire to a pod, as Calico and AKS make it, and a VPN that hands out a network.
#[test]
fn point_to_point_links() {
    let host = || {
        Machine::new(
            "lo 127.0.0.1/8
             eth0 10.0.0.5/8
             ppp0 10.9.0.1/32 point-to-point
             tun0 172.27.232.7/20 point-to-point",
        )
        .route("0.0.0.0/0", "10.0.0.5")
        .route("10.9.0.2/32", "10.9.0.1")
    };
    host()
        .inet()
        .answer("10.9.0.1 10.9.0.2")
        .says("10.9.0.1 on ppp0: in answer");
    host()
        .inet()
        .answer("10.9.0.2")
        .says("10.9.0.1 on ppp0: route to peer");
    host()
        .inet()
        .answer("172.27.232.9")
        .says("172.27.232.7 on tun0: route to peer");
    host()
        .inet()
        .says("undecided: 10.0.0.5 on eth0, 10.9.0.1 on ppp0, 172.27.232.7 on tun0");
}

#[test]
fn ipv6_at_home() {
    let laptop = || {
        Machine::new(
            "lo ::1/128
             eth0 fd12:3456::a1b2/64
             eth0 fd12:3456::9999/64 temporary
             eth0 2001:470:1f0b:1::a1b2/64
             eth0 2001:470:1f0b:1::7777/64 temporary
             eth0 2001:470:1f0b:1::6666/64 temporary deprecated
             eth0 fe80::a1b2/64",
        )
        .route("fd12:3456::/64", "fd12:3456::9999")
        .route("::/0", "2001:470:1f0b:1::7777")
    };
    let both = "undecided: fd12:3456::a1b2 on eth0, 2001:470:1f0b:1::a1b2 on eth0";
    laptop().inet6().says(both);
    let right = "fd12:3456::a1b2 on eth0: in answer";
    laptop()
        .inet6()
        .answer("fd12:3456::a1b2 fd12:3456::5")
        .says(right);
    let right = "fd12:3456::a1b2 on eth0: route to peer";
    laptop().inet6().answer("fd12:3456::5").says(right);
    // The kernel sends from the temporary address; the lasting one beside it is the name's.
    laptop()
        .inet6()
        .answer("2001:470:20::5")
        .says("2001:470:1f0b:1::a1b2 on eth0: route to peer");
}
