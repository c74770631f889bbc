//! Running it.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::support::server::Server;

pub struct Program(Command);

pub struct Ended {
    pub status: i32,
    pub out: String,
    pub err: String,
    pub took: Duration,
}

/// With nothing in the environment but what a test puts there.
pub fn program(line: &str) -> Program {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dns_mesh"));
    command.env_clear().args(line.split_whitespace());
    Program(command)
}

impl Program {
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.0.env(name, value);
        self
    }

    pub fn asking(mut self, server: &Server) -> Self {
        self.0.arg("--nameserver").arg(server.address.to_string());
        self
    }

    /// Leaves the test's other worker to the server.
    pub fn run(mut self) -> Ended {
        let began = Instant::now();
        let Output {
            status,
            stdout,
            stderr,
        } = tokio::task::block_in_place(|| self.0.output().unwrap());
        Ended {
            took: began.elapsed(),
            status: status.code().expect("no signal"),
            out: String::from_utf8(stdout).unwrap(),
            err: String::from_utf8(stderr).unwrap(),
        }
    }

    #[track_caller]
    pub fn prints(self, expected: &str) {
        let ended = self.run();
        assert_eq!((ended.status, &*ended.err), (0, ""), "{}", ended.out);
        assert_eq!(ended.out, expected);
    }

    /// Exit status 1, nothing on standard output, and these words on standard error.
    #[track_caller]
    pub fn finds_nothing(self, words: &[&str]) -> Ended {
        self.fails(1, words)
    }

    #[track_caller]
    pub fn fails(self, status: i32, words: &[&str]) -> Ended {
        let ended = self.run();
        assert_eq!((ended.status, &*ended.out), (status, ""), "{}", ended.err);
        for word in words {
            assert!(
                ended.err.contains(word),
                "{word:?} is not in:\n{}",
                ended.err
            );
        }
        let lines = ended.err.lines();
        assert!(lines.clone().count() > 0);
        for line in lines {
            let is_prefixed = line.starts_with("dns_mesh: ") || line == "Try: dns_mesh --help";
            assert!(is_prefixed, "{line}");
        }
        ended
    }
}
