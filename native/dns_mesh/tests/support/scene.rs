//! A resolver, the files it reads, and short ways to ask it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dns_mesh::{
    Answer, Failure, Family, Follow, Kind, Reason, Records, Resolver, Service, Settings,
};

use super::server::Server;

/// Longer than anything a test waits for on purpose.
pub const LONG: Duration = Duration::from_secs(20);

pub const HOSTS: Follow = Follow {
    hosts: true,
    registered: false,
};
pub const REGISTERED: Follow = Follow {
    hosts: false,
    registered: true,
};

pub struct Scene {
    pub resolver: Resolver,
    folder: PathBuf,
}

impl Scene {
    /// Asks `servers`; no search domains, no hosts.
    pub fn new(servers: &[&Server]) -> Self {
        Self::with_conf(servers, "")
    }

    pub fn with_conf(servers: &[&Server], resolv_conf: &str) -> Self {
        let servers = servers.iter().map(|server| server.address).collect();
        Self::open(servers, 53, resolv_conf, "")
    }

    pub fn at(address: SocketAddr) -> Self {
        Self::open(vec![address], 53, "", "")
    }

    /// Asks the servers that `resolv_conf` names, at `port`.
    pub fn following(resolv_conf: &str, port: u16) -> Self {
        Self::open(vec![], port, resolv_conf, "")
    }

    /// Asks `server`; the epmds of the hosts it names are at `epmd_port`.
    pub fn with_epmd(server: &Server, epmd_port: u16) -> Self {
        let mut scene = Self::new(&[server]);
        scene.resolver = Resolver::new(Settings {
            nameservers: vec![server.address],
            resolv_conf: scene.resolv_conf(),
            hosts: scene.hosts(),
            epmd_port,
            ..Settings::default()
        });
        scene
    }

    pub fn with_hosts(servers: &[&Server], resolv_conf: &str, hosts: &str) -> Self {
        let servers = servers.iter().map(|server| server.address).collect();
        Self::open(servers, 53, resolv_conf, hosts)
    }

    fn open(nameservers: Vec<SocketAddr>, port: u16, resolv_conf: &str, hosts: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("dns_mesh_{}_{count}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("resolv.conf"), resolv_conf).unwrap();
        fs::write(folder.join("hosts"), hosts).unwrap();
        let resolver = Resolver::new(Settings {
            nameservers,
            resolv_conf: folder.join("resolv.conf"),
            hosts: folder.join("hosts"),
            port,
            ..Settings::default()
        });
        Self { resolver, folder }
    }

    pub fn resolv_conf(&self) -> PathBuf {
        self.folder.join("resolv.conf")
    }

    pub fn hosts(&self) -> PathBuf {
        self.folder.join("hosts")
    }

    pub async fn a(&self, name: &str) -> Result<Answer, Failure> {
        self.a_within(name, LONG).await
    }

    pub async fn a_within(&self, name: &str, timeout: Duration) -> Result<Answer, Failure> {
        let kind = Kind::Addresses(Family::Inet);
        self.resolver
            .lookup(name.as_bytes(), &kind, Follow::default(), timeout)
            .await
    }

    pub async fn aaaa(&self, name: &str) -> Result<Answer, Failure> {
        let kind = Kind::Addresses(Family::Inet6);
        self.resolver
            .lookup(name.as_bytes(), &kind, Follow::default(), LONG)
            .await
    }

    /// What A records lead to, and the names of the addresses.
    pub async fn hosts_of(&self, name: &str) -> Result<Answer, Failure> {
        self.follow(name, Family::Inet, HOSTS, LONG).await
    }

    /// What A records lead to, and what their epmds have registered.
    pub async fn registered_at(&self, name: &str) -> Result<Answer, Failure> {
        self.follow(name, Family::Inet, REGISTERED, LONG).await
    }

    pub async fn follow(
        &self,
        name: &str,
        family: Family,
        follow: Follow,
        timeout: Duration,
    ) -> Result<Answer, Failure> {
        let kind = Kind::Addresses(family);
        self.resolver
            .lookup(name.as_bytes(), &kind, follow, timeout)
            .await
    }

    /// SRV with the targets' addresses of both families.
    pub async fn srv(&self, name: &str) -> Result<Answer, Failure> {
        let kind = Kind::Services(vec![Family::Inet, Family::Inet6]);
        self.resolver
            .lookup(name.as_bytes(), &kind, Follow::default(), LONG)
            .await
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// As editors and container runtimes do it: a new file under the old name.
pub fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

pub fn ips(outcome: Result<Answer, Failure>) -> Vec<String> {
    match outcome.expect("an answer").records {
        Records::Addresses(ips) => ips.iter().map(ToString::to_string).collect(),
        Records::Services(_) => panic!("services where addresses were asked for"),
    }
}

pub fn services(outcome: Result<Answer, Failure>) -> Vec<Service> {
    match outcome.expect("an answer").records {
        Records::Services(services) => services,
        Records::Addresses(_) => panic!("addresses where services were asked for"),
    }
}

pub fn reason(outcome: Result<Answer, Failure>) -> Reason {
    outcome.expect_err("a failure").reason
}
