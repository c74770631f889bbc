//! What the user says goes before everything else.

use crate::machine::Machine;

fn machine() -> Machine {
    Machine::new(
        "lo 127.0.0.1/8
         lo ::1/128
         eth0 10.0.0.5/24
         eth0 10.0.0.2/32
         eth0 fd00::5/64
         eth0 fe80::5/64
         eth1 10.1.0.5/24
         eth1 10.1.0.6/24
         eth2 169.254.172.2/22
         eth3:backup 10.3.0.5/24",
    )
}

#[test]
fn a_literal() {
    machine()
        .inet()
        .answer("10.0.0.5")
        .literal("10.1.0.6")
        .says("10.1.0.6 on eth1: option");
    machine().literal("fd00::5").says("fd00::5 on eth0: option");
    // Whoever writes it means it, be it virtual or known on this wire only.
    machine()
        .inet()
        .literal("10.0.0.2")
        .says("10.0.0.2 on eth0: option");
    machine()
        .inet()
        .literal("169.254.172.2")
        .says("169.254.172.2 on eth2: option");
    machine()
        .inet()
        .literal("127.0.0.1")
        .says("127.0.0.1 on lo: option");
    machine()
        .inet()
        .literal("10.9.9.9")
        .says("not local: 10.9.9.9");
    machine()
        .inet()
        .literal("fd00::5")
        .says("wrong family: fd00::5");
    machine()
        .inet6()
        .literal("10.9.9.9")
        .says("wrong family: 10.9.9.9");
}

#[cfg(target_os = "linux")]
#[test]
fn any_loopback_address() {
    machine()
        .inet()
        .literal("127.0.0.7")
        .says("127.0.0.7 on lo: option");
    Machine::new("eth0 10.0.0.5/24")
        .literal("127.0.0.7")
        .says("not local: 127.0.0.7");
}

#[test]
fn an_interface() {
    machine()
        .inet()
        .interface("eth0")
        .says("10.0.0.5 on eth0: option");
    machine()
        .inet6()
        .interface("eth0")
        .says("fd00::5 on eth0: option");
    machine().interface("eth0").says("10.0.0.5 on eth0: option");
    machine()
        .inet()
        .interface("eth1")
        .says("undecided: 10.1.0.5 on eth1, 10.1.0.6 on eth1");
    machine()
        .inet()
        .interface("eth1")
        .answer("10.1.0.6")
        .says("10.1.0.6 on eth1: option");
    machine()
        .inet()
        .interface("lo")
        .says("127.0.0.1 on lo: option");
    for name in ["eth9", "", "eth", "ETH0"] {
        machine()
            .inet()
            .interface(name)
            .says(&format!("no interface: {name}"));
    }
    machine()
        .inet()
        .interface("eth2")
        .says("no interface: eth2");
    machine()
        .inet6()
        .interface("eth1")
        .says("other family: Inet");
}

/// The family of the answer comes first where none is given, but does not undo the choice.
#[test]
fn an_interface_and_an_answer_of_one_family() {
    machine()
        .interface("eth0")
        .answer("fd00::6")
        .says("fd00::5 on eth0: option");
    machine()
        .interface("eth3")
        .answer("fd00::6")
        .says("10.3.0.5 on eth3:backup: option");
}

#[test]
fn an_address_with_a_label() {
    machine()
        .inet()
        .interface("eth3")
        .says("10.3.0.5 on eth3:backup: option");
    machine()
        .inet()
        .interface("eth3:backup")
        .says("10.3.0.5 on eth3:backup: option");
    machine()
        .inet()
        .interface("eth3:other")
        .says("no interface: eth3:other");
}

#[test]
fn a_subnet() {
    machine()
        .inet()
        .subnet("10.0.0.0/16")
        .says("10.0.0.5 on eth0: option");
    machine().subnet("fd00::/8").says("fd00::5 on eth0: option");
    machine()
        .inet()
        .subnet("10.1.0.6")
        .says("10.1.0.6 on eth1: option");
    machine()
        .inet()
        .subnet("127.0.0.0/8")
        .says("127.0.0.1 on lo: option");
    machine()
        .inet()
        .subnet("10.1.0.0/24")
        .says("undecided: 10.1.0.5 on eth1, 10.1.0.6 on eth1");
    machine()
        .inet()
        .subnet("10.0.0.0/8")
        .answer("10.1.0.6")
        .says("10.1.0.6 on eth1: option");
    machine()
        .inet()
        .subnet("192.168.0.0/16")
        .says("no subnet: 192.168.0.0/16");
    machine()
        .inet()
        .subnet("fd00::/8")
        .says("wrong family: fd00::");
    // Virtual, temporary and such are no more usable in a network than elsewhere.
    machine()
        .inet()
        .subnet("10.0.0.2/32")
        .says("no subnet: 10.0.0.2/32");
}
