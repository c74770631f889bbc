//! Scripted peers at epmd's port: each says what it is told to, whatever it is asked.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What a peer does with each connection.
#[derive(Clone)]
pub enum Script {
    /// Accepts, and never says a word.
    Hang,
    /// Reads the question, says these bytes one after the other, closes.
    Say(Vec<Vec<u8>>),
    /// The same, but stays.
    SayAndStay(Vec<u8>),
    /// Says these bytes again and again, for ever.
    Flood(Vec<u8>),
    /// Closes at once, which resets the connection.
    HangUp,
}

pub struct Peer {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Peer {
    /// At a port of its own.
    pub async fn start(script: Script) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), script).await
    }

    pub async fn start_at(address: SocketAddr, script: Script) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let peer = Self {
            address: listener.local_addr().unwrap(),
            asked: Arc::default(),
        };
        let asked = peer.asked.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, script.clone(), asked.clone()));
            }
        });
        peer
    }

    /// At another address, and the same port.
    pub async fn beside(&self, ip: &str, script: Script) -> Self {
        let ip: IpAddr = ip.parse().unwrap();
        Self::start_at((ip, self.address.port()).into(), script).await
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The questions so far.
    pub fn asked(&self) -> Vec<Vec<u8>> {
        self.asked.lock().unwrap().clone()
    }
}

/// The reply to "what names?" as epmd writes it.
pub fn names(names: &[(&str, u16)]) -> Vec<u8> {
    let mut reply = 4369u32.to_be_bytes().to_vec();
    for (name, port) in names {
        reply.extend(format!("name {name} at port {port}\n").bytes());
    }
    reply
}

pub fn say(bytes: &[u8]) -> Script {
    Script::Say(vec![bytes.to_vec()])
}

async fn serve(mut stream: TcpStream, script: Script, asked: Arc<Mutex<Vec<Vec<u8>>>>) {
    match script {
        Script::Hang => read(&mut stream, &asked).await,
        Script::HangUp => return,
        Script::Say(parts) => {
            read(&mut stream, &asked).await;
            for part in parts {
                if stream.write_all(&part).await.is_err() {
                    return;
                }
                // So that each part is a packet of its own.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            return;
        }
        Script::Flood(bytes) => while stream.write_all(&bytes).await.is_ok() {},
        Script::SayAndStay(bytes) => {
            read(&mut stream, &asked).await;
            let _ = stream.write_all(&bytes).await;
        }
    }
    // Until the other side goes.
    let _ = stream.read_u8().await;
}

async fn read(stream: &mut TcpStream, asked: &Mutex<Vec<Vec<u8>>>) {
    let Ok(length) = stream.read_u16().await else {
        return;
    };
    let mut question = vec![0; length.into()];
    if stream.read_exact(&mut question).await.is_ok() {
        asked.lock().unwrap().push(question);
    }
}
