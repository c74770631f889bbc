//! DNS lookups for clustering, in Rust that has never heard of the Erlang VM.
//!
//! One lookup walks through these modules, top to bottom:
//!
//! | module | job |
//! |---|---|
//! | [`resolver`] | the handle: settings, files followed, one lookup from text to answer |
//! | [`name`] | which text is a name at all; IP literals; text to wire and back |
//! | [`hosts`] | `/etc/hosts`, minus the entries that only name this machine |
//! | [`resolv_conf`] | `/etc/resolv.conf` with glibc's meaning |
//! | [`followed_file`] | a parsed file that is read again when it changes |
//! | [`search`] | the names to ask for, in order; which failure counts in the end |
//! | [`server_race`] | one question, several name servers: stagger, failover, rounds |
//! | `permits` | how many questions may be on the wire at once |
//! | [`name_server`] | one question to one server: EDNS, TCP, its time |
//! | `wire` | the sockets: connected, zone ids kept |
//! | `overflow` | what TCP came to where UDP's reply was cut short |
//! | [`reply`] | which records of a message answer our question |
//! | `srv` | SRV targets to addresses |
//! | [`reverse`] | addresses to host names that lead back to them |
//! | [`epmd`] | addresses to the names that epmd has registered there |
//! | [`handshake`], `md5` | whether a node at a distribution port is the one meant, and takes the cookie |
//! | `turns` | how many hosts at once, and for how long |
//! | [`answer`], [`error`] | what comes out |
//!
//! Beside it, whether a node can be reached before it is dialled: [`probe`]. And who this machine is:
//!
//! | module | job |
//! |---|---|
//! | [`address`] | its interfaces and their addresses |
//! | [`own_address`] | which of them peers find it by |
//! | [`network`] | networks, and what kind of address an address is |
//! | [`node_name`] | the text of addresses and of node names |

#![forbid(unsafe_code)]

pub mod address;
pub mod answer;
pub mod epmd;
pub mod error;
pub mod followed_file;
pub mod handshake;
pub mod hosts;
mod md5;
pub mod name;
pub mod name_server;
pub mod network;
pub mod node_name;
mod overflow;
pub mod own_address;
mod permits;
pub mod probe;
pub mod reply;
pub mod resolv_conf;
pub mod resolver;
pub mod reverse;
pub mod search;
pub mod server_race;
mod srv;
mod turns;
mod wire;

pub use address::{Flags, Interface, interfaces};
pub use answer::{Answer, Family, Follow, Kind, Records, Service};
pub use epmd::EpmdFault;
pub use error::{BadName, Failure, Reason, TcpFault};
pub use handshake::{Call, Caller, Greeting, greet_all};
pub use name::check_name;
pub use network::Network;
pub use node_name::{BadBasename, check_basename, ip_text, node_name};
pub use own_address::{
    AddressOption, Because, Candidate, NoAddress, OwnAddress, Request, own_address,
};
pub use probe::{Dead, Door, Silent, Target, TargetHost, Verdict};
pub use resolver::{Resolver, Settings};
pub use reverse::NoHost;
