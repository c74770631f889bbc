//! The scripted server: one function from question to reply, over UDP and TCP.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::{Name, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Notify;

use super::records::soa;

/// One question as it came in.
#[derive(Clone, Debug)]
pub struct Question {
    /// As on the wire, without trailing dot.
    pub name: String,
    pub kind: RecordType,
    pub edns: bool,
    pub tcp: bool,
    message: Message,
}

/// What the server does about it.
pub enum Reply {
    Silence,
    Send(Message),
    /// Several datagrams, in this order.
    Raw(Vec<Vec<u8>>),
    After(Duration, Box<Reply>),
}

impl Question {
    pub fn reply(&self, code: ResponseCode) -> Message {
        let mut message = self.message.clone().into_response();
        message.metadata.response_code = code;
        message.metadata.recursion_available = true;
        message.edns = None;
        message
    }

    pub fn answer(&self, records: Vec<Record>) -> Reply {
        self.answer_with(records, vec![])
    }

    pub fn answer_with(&self, records: Vec<Record>, additionals: Vec<Record>) -> Reply {
        let mut message = self.reply(ResponseCode::NoError);
        message.answers = records;
        message.additionals = additionals;
        Reply::Send(message)
    }

    pub fn code(&self, code: ResponseCode) -> Reply {
        Reply::Send(self.reply(code))
    }

    /// NXDOMAIN or no records, with the SOA record that carries a negative TTL.
    pub fn none(&self, code: ResponseCode, negative_ttl: u32) -> Reply {
        let mut message = self.reply(code);
        message.authorities = vec![soa("internal", negative_ttl)];
        Reply::Send(message)
    }

    pub fn truncated(&self) -> Reply {
        let mut message = self.reply(ResponseCode::NoError);
        message.metadata.truncation = true;
        Reply::Send(message)
    }

    pub fn bytes(&self, reply: Reply) -> Vec<u8> {
        match reply {
            Reply::Send(message) => message.to_vec().unwrap(),
            _ => panic!("only a message has bytes"),
        }
    }
}

type Script = Arc<dyn Fn(&Question) -> Reply + Send + Sync>;

pub struct Server {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Question>>>,
    arrival: Arc<Notify>,
}

#[derive(Clone)]
struct Running {
    script: Script,
    seen: Arc<Mutex<Vec<Question>>>,
    arrival: Arc<Notify>,
}

impl Server {
    pub async fn start(script: impl Fn(&Question) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), script).await
    }

    /// Lives until the test's runtime ends.
    pub async fn start_at(
        address: SocketAddr,
        script: impl Fn(&Question) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let (udp, tcp) = bind(address).await;
        let running = Running {
            script: Arc::new(script),
            seen: Arc::default(),
            arrival: Arc::default(),
        };
        let server = Self {
            address: udp.local_addr().unwrap(),
            seen: running.seen.clone(),
            arrival: running.arrival.clone(),
        };
        tokio::spawn(running.clone().serve_udp(Arc::new(udp)));
        tokio::spawn(running.serve_tcp(tcp));
        server
    }

    pub async fn silent() -> Self {
        Self::start(|_| Reply::Silence).await
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn seen(&self) -> Vec<Question> {
        self.seen.lock().unwrap().clone()
    }

    pub fn names(&self) -> Vec<String> {
        self.seen()
            .into_iter()
            .map(|question| question.name)
            .collect()
    }

    /// Waits until `count` questions have come in.
    pub async fn saw(&self, count: usize) {
        loop {
            let arrival = self.arrival.notified();
            if self.seen.lock().unwrap().len() >= count {
                return;
            }
            arrival.await;
        }
    }
}

/// One port for both: the kernel picks it for UDP, and TCP may have to try again.
async fn bind(address: SocketAddr) -> (UdpSocket, TcpListener) {
    for _ in 0..100 {
        let udp = UdpSocket::bind(address).await.unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
    panic!("no port is free for UDP and TCP at {address}");
}

/// A port where nobody listens, for as long as the sockets are held unused.
pub async fn closed_port() -> SocketAddr {
    let (udp, _) = bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)).await;
    udp.local_addr().unwrap()
}

impl Running {
    async fn serve_udp(self, socket: Arc<UdpSocket>) {
        let mut buffer = [0; 4096];
        loop {
            let Ok((length, peer)) = socket.recv_from(&mut buffer).await else {
                continue;
            };
            let reply = self.ask(&buffer[..length], false);
            let socket = socket.clone();
            tokio::spawn(async move {
                for bytes in play(reply).await {
                    let _ = socket.send_to(&bytes, peer).await;
                }
            });
        }
    }

    async fn serve_tcp(self, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(self.clone().serve_stream(stream));
        }
    }

    async fn serve_stream(self, mut stream: TcpStream) {
        while let Ok(length) = stream.read_u16().await {
            let mut buffer = vec![0; length.into()];
            if stream.read_exact(&mut buffer).await.is_err() {
                return;
            }
            for bytes in play(self.ask(&buffer, true)).await {
                let length = u16::try_from(bytes.len()).unwrap();
                if stream.write_u16(length).await.is_err()
                    || stream.write_all(&bytes).await.is_err()
                {
                    return;
                }
            }
        }
    }

    fn ask(&self, bytes: &[u8], tcp: bool) -> Reply {
        let message = Message::from_vec(bytes).unwrap();
        let query = &message.queries[0];
        let question = Question {
            name: text(query.name()),
            kind: query.query_type(),
            edns: message.edns.is_some(),
            tcp,
            message: message.clone(),
        };
        self.seen.lock().unwrap().push(question.clone());
        self.arrival.notify_waiters();
        (self.script)(&question)
    }
}

async fn play(mut reply: Reply) -> Vec<Vec<u8>> {
    loop {
        match reply {
            Reply::Silence => return vec![],
            Reply::Send(message) => return vec![message.to_vec().unwrap()],
            Reply::Raw(all) => return all,
            Reply::After(delay, then) => {
                tokio::time::sleep(delay).await;
                reply = *then;
            }
        }
    }
}

/// Not hickory's own text, which puts a backslash before some hyphens.
fn text(name: &Name) -> String {
    let labels = name
        .iter()
        .map(|label| String::from_utf8_lossy(label).into_owned());
    labels.collect::<Vec<_>>().join(".")
}
