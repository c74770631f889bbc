//! `dns_mesh`: own address and name for the shell that starts the VM, and lookups.
//!
//! Arguments and environment go in, one question goes to `dns_mesh`, text comes out.
//!
//! | module | job |
//! |---|---|
//! | `args` | the command line, checked |
//! | `environment` | what the environment says where the command line does not |
//! | `query` | the items of a query, as in DNSMesh's `:query` |
//! | `own` | asks until the own address is decided or the time is up |
//! | `lookup` | asks one name |
//! | `failure` | why nothing was found, for people |

mod args;
mod environment;
mod failure;
mod lookup;
mod own;
mod query;

use std::io::{self, Write};
use std::process::ExitCode;

use tokio::runtime::{Builder, Runtime};

use crate::args::Command;
use crate::failure::Failure;

const HELP: &str = include_str!("help.txt");

fn main() -> ExitCode {
    match args::parse(std::env::args_os().skip(1)).and_then(run) {
        Ok(text) => match io::stdout().write_all(text.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            // Nobody got it: `| head` went away, or the disk is full.
            Err(_) => ExitCode::FAILURE,
        },
        Err(failure) => {
            // There is nowhere to say it when standard error is closed.
            let _ = write!(io::stderr(), "{failure}");
            failure.exit_code()
        }
    }
}

fn run(command: Command) -> Result<String, Failure> {
    match command {
        Command::Help => Ok(HELP.into()),
        Command::Version => Ok(format!("dns_mesh {}\n", env!("CARGO_PKG_VERSION"))),
        Command::Address(wish) => {
            let job = environment::own_job(wish, &environment::variable)?;
            let ip = runtime()?.block_on(own::address(&job))?;
            Ok(format!("{}\n", dns_mesh::ip_text(ip)))
        }
        Command::NodeName(wish) => {
            let basename = environment::basename(&wish, &environment::variable)?;
            let job = environment::own_job(wish, &environment::variable)?;
            let ip = runtime()?.block_on(own::address(&job))?;
            let name = dns_mesh::node_name(basename.as_bytes(), ip);
            Ok(format!("{}\n", name.map_err(Failure::usage)?))
        }
        Command::Lookup(wish) => {
            let family = environment::family(&environment::variable);
            runtime()?.block_on(lookup::lookup(&wish, family))
        }
    }
}

fn runtime() -> Result<Runtime, Failure> {
    Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(|error| Failure::not_found(format!("cannot start: {error}")))
}
