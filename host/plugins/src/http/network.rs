//! The two operations of the network: resolving names and connecting.

use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;
use tokio::net::TcpStream;

/// The network. Tests use a scripted one.
#[async_trait]
pub trait Network: Send + Sync {
    /// The addresses of a name, best first.
    ///
    /// # Errors
    /// Why it has none.
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;

    /// Connects to exactly this address.
    ///
    /// # Errors
    /// Why it can't be reached.
    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream>;
}

/// This system's resolver and network.
#[derive(Clone, Copy, Debug)]
pub struct SystemNetwork;

#[async_trait]
impl Network for SystemNetwork {
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(address).await?;
        // One small request and its response: there is nothing to wait for.
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}
