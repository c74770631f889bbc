//! A network of a test's own: the test program runs itself again inside a new network namespace.

use std::env;
use std::io::{self, Write};
use std::process::{Command, Stdio};

const INSIDE: &str = "DNS_MESH_TEST_NAMESPACE";

/// Runs `check` in a namespace that has no more than loopback, down, and what `script` makes.
/// `test` is the full name of the calling test. It is left out, and that is said, where this
/// user may make no namespaces.
pub fn inside(test: &str, script: &str, check: impl FnOnce()) {
    if env::var(INSIDE).as_deref() == Ok(test) {
        return check();
    }
    if !may_unshare() {
        // Not by a macro, whose text is shown for tests that fail only.
        let _ = writeln!(
            io::stderr(),
            "{test}: skipped, it needs root on Linux, and ip"
        );
        return;
    }
    // /sys goes on showing the interfaces of the namespace it was mounted in. A command that
    // fails ends the shell, and with it the test.
    let setting = "set -e; mount -t sysfs none /sys";
    let again = format!("exec \"$0\" --exact {test} --nocapture --include-ignored");
    let status = Command::new("unshare")
        .args(["--net", "--mount", "--propagation", "private", "sh", "-c"])
        .arg(format!("{setting}\n{script}\n{again}"))
        .arg(env::current_exe().unwrap())
        .env(INSIDE, test)
        .status()
        .unwrap();
    assert!(status.success(), "{test} in a namespace: {status}");
}

fn may_unshare() -> bool {
    let script = "mount -t sysfs none /sys && ip link add a0 type veth peer name b0";
    Command::new("unshare")
        .args([
            "--net",
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            script,
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
