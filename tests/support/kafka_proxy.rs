//! A proxy before a broker that does to connections what networks do: cut, stall, slow down, refuse.
//!
//! It knows nothing of Kafka's protocol. [`crate::kafka::Broker::link`] makes one that a client cannot go round.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::Error;
use crate::error::io;

/// What is done to everything that passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Open,
    /// Nothing passes, and connections stay open.
    Stalled,
    /// What clients ask passes, and no answer does.
    Deaf,
    /// Each piece takes that long.
    Slow(Duration),
    /// Nobody listens.
    Refusing,
}

/// What connections follow: the mode, and how often all of them were cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Weather {
    mode: Mode,
    cuts: u64,
}

/// A proxy. Dropping it closes its port and every connection.
#[derive(Debug)]
pub struct KafkaProxy {
    port: u16,
    weather: watch::Sender<Weather>,
    serving: JoinHandle<()>,
}

impl KafkaProxy {
    /// Listens on `port` for what is to go to `upstream`, both on loopback.
    pub(crate) async fn start(port: u16, upstream: u16) -> Result<Self, Error> {
        let listener = listen(port).await.map_err(io("open the proxy's port"))?;
        let (weather, watched) = watch::channel(Weather {
            mode: Mode::Open,
            cuts: 0,
        });
        Ok(Self {
            port,
            weather,
            serving: tokio::spawn(serve(listener, port, upstream, watched)),
        })
    }

    /// Returns the address for `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Cuts every connection; new ones work.
    pub fn cut(&self) {
        self.weather.send_modify(|weather| weather.cuts += 1);
    }

    /// Lets nothing pass from now on, while connections stay open and new ones are taken.
    pub fn stall(&self) {
        self.set(Mode::Stalled);
    }

    /// Lets requests pass, and holds every answer back.
    pub fn hold_answers(&self) {
        self.set(Mode::Deaf);
    }

    /// Makes every piece of up to 64 KiB take that long.
    pub fn slow(&self, piece: Duration) {
        self.set(Mode::Slow(piece));
    }

    /// Cuts every connection, and refuses new ones.
    pub fn refuse(&self) {
        self.weather.send_modify(|weather| {
            weather.mode = Mode::Refusing;
            weather.cuts += 1;
        });
    }

    /// Lets everything pass again, what was held back included.
    pub fn open(&self) {
        self.set(Mode::Open);
    }

    fn set(&self, mode: Mode) {
        self.weather.send_modify(|weather| weather.mode = mode);
    }
}

impl Drop for KafkaProxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn listen(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await
}

/// The set ends every connection when the task ends.
async fn serve(listener: TcpListener, port: u16, upstream: u16, mut weather: watch::Receiver<Weather>) {
    let (mut listener, mut connections) = (Some(listener), JoinSet::new());
    loop {
        let refusing = weather.borrow_and_update().mode == Mode::Refusing;
        if refusing {
            listener = None;
        } else if listener.is_none() {
            listener = listen(port).await.ok();
        }
        tokio::select! {
            Ok((stream, _)) = accept(listener.as_ref()) => {
                connections.spawn(join(stream, upstream, weather.clone()));
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            changed = weather.changed() => if changed.is_err() { return },
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> std::io::Result<(TcpStream, std::net::SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

/// Joins a client to the broker until either side ends it, or it is cut.
async fn join(client: TcpStream, upstream: u16, mut weather: watch::Receiver<Weather>) {
    let cuts = weather.borrow().cuts;
    let mut asking = weather.clone();
    let joined = async {
        until(&mut asking, |mode| mode != Mode::Stalled).await?;
        let broker = TcpStream::connect((Ipv4Addr::LOCALHOST, upstream)).await.ok()?;
        for stream in [&client, &broker] {
            // Without it, small pieces wait for an acknowledgement.
            stream.set_nodelay(true).ok()?;
        }
        let ((from_client, to_client), (from_broker, to_broker)) = (client.into_split(), broker.into_split());
        let asks = pump(from_client, to_broker, asking.clone(), |mode| mode != Mode::Stalled);
        let answers = pump(from_broker, to_client, asking, |mode| {
            !matches!(mode, Mode::Stalled | Mode::Deaf)
        });
        tokio::select! {
            () = asks => {}
            () = answers => {}
        }
        Some(())
    };
    tokio::select! {
        _ = joined => {}
        _ = weather.wait_for(|weather| weather.cuts != cuts) => {}
    }
}

/// Passes bytes on, while the mode lets them.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut weather: watch::Receiver<Weather>,
    passes: impl Fn(Mode) -> bool,
) {
    let mut piece = vec![0; 64 << 10];
    loop {
        let Ok(length @ 1..) = from.read(&mut piece).await else {
            return;
        };
        let Some(mode) = until(&mut weather, &passes).await else {
            return;
        };
        if let Mode::Slow(time) = mode {
            tokio::time::sleep(time).await;
        }
        if to.write_all(&piece[..length]).await.is_err() {
            return;
        }
    }
}

/// Waits for a mode that passes, and returns it; nothing once the proxy is gone.
async fn until(weather: &mut watch::Receiver<Weather>, passes: impl Fn(Mode) -> bool) -> Option<Mode> {
    let found = weather.wait_for(|weather| passes(weather.mode)).await.ok()?;
    Some(found.mode)
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;
    use crate::ports::free_port;
    use crate::wait_until;

    const SOON: Duration = Duration::from_secs(10);

    /// A server that says everything back, and a proxy before it.
    async fn echo() -> KafkaProxy {
        let upstream = free_port();
        let listener = listen(upstream).await.expect("a port");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        KafkaProxy::start(free_port(), upstream).await.expect("a proxy")
    }

    async fn client(proxy: &KafkaProxy) -> TcpStream {
        TcpStream::connect(proxy.bootstrap()).await.expect("it listens")
    }

    async fn hears(stream: &mut TcpStream, word: &str) -> bool {
        let mut heard = vec![0; word.len()];
        stream.read_exact(&mut heard).await.is_ok() && heard == word.as_bytes()
    }

    #[tokio::test]
    async fn what_was_stalled_arrives_when_the_link_opens_again() {
        let proxy = echo().await;
        let mut stream = client(&proxy).await;
        stream.write_all(b"one").await.expect("it is sent");
        assert!(hears(&mut stream, "one").await);
        proxy.stall();
        stream.write_all(b"two").await.expect("it is sent");
        let early = timeout(Duration::from_millis(200), hears(&mut stream, "two")).await;
        assert!(early.is_err(), "nothing passes a stalled link");
        proxy.open();
        assert!(timeout(SOON, hears(&mut stream, "two")).await.expect("in time"));
    }

    #[tokio::test]
    async fn a_cut_ends_connections_and_a_refusal_keeps_new_ones_out() {
        let proxy = echo().await;
        let mut stream = client(&proxy).await;
        stream.write_all(b"one").await.expect("it is sent");
        assert!(hears(&mut stream, "one").await, "it is joined");
        proxy.cut();
        assert!(!timeout(SOON, hears(&mut stream, "x")).await.expect("it ends"));
        let mut stream = client(&proxy).await;
        stream.write_all(b"again").await.expect("it is sent");
        assert!(hears(&mut stream, "again").await);
        proxy.refuse();
        let refused = wait_until("a closed port", SOON, || async {
            match TcpStream::connect(proxy.bootstrap()).await {
                Ok(_) => Err("it is open"),
                Err(_) => Ok(()),
            }
        });
        refused.await.expect("it is refused");
        proxy.open();
        let open = wait_until("an open port", SOON, || TcpStream::connect(proxy.bootstrap()));
        open.await.expect("it listens again");
    }
}
