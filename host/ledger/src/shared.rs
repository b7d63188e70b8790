//! A ledger file that a running host has open, reached through that host: by a Unix socket beside
//! the file, which only the host's own user may use. The protocol is the store's three calls, a
//! line of JSON each, so that a client is one more host of the ledger.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::store::{Item, Key, Store, StoreError, Write};
use crate::store_ledger::StoreLedger;

/// The longest line that is read, in bytes. A list of a ledger of ten thousand accounts takes a few
/// megabytes.
const MAX_LINE_BYTES: u64 = 64 << 20;

/// The wait after a connection could not be accepted, for example for lack of file descriptors.
const ACCEPT_RETRY: std::time::Duration = std::time::Duration::from_millis(100);

/// A ledger that another process has open.
pub type SharedLedger = StoreLedger<SharedStore>;

impl SharedLedger {
    /// The ledger file that a running host has open and shares.
    ///
    /// # Errors
    /// When no host shares the file with this user.
    pub async fn connect(file: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket_path(file)).await?;
        Ok(Self::with_store(SharedStore { stream: Mutex::new(BufReader::new(stream)) }))
    }
}

/// The socket through which a host shares a ledger file.
pub fn socket_path(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".sock");
    name.into()
}

/// A ledger file that can't be shared. The host runs nevertheless, but operator commands can't
/// reach it.
#[derive(Debug, thiserror::Error)]
#[error(
    "{path}: {source}: commands such as `groundcrew status` can't reach this host; a path of at \
     most 100 bytes, in a directory that can be written to, would let them"
)]
pub struct ShareError {
    /// The socket.
    pub path: PathBuf,
    /// The error of the operating system.
    pub source: io::Error,
}

/// A request to a store.
#[derive(Debug, Serialize, Deserialize)]
enum StoreRequest {
    Get(Key),
    List(String),
    Commit(Vec<Write>),
}

/// The response of a store.
#[derive(Debug, Serialize, Deserialize)]
enum StoreResponse {
    Item(Result<Option<Item>, StoreError>),
    Items(Result<Vec<(String, Item)>, StoreError>),
    Committed(Result<bool, StoreError>),
}

/// Shares a ledger file. Dropping it removes the socket.
#[derive(Debug)]
pub struct SharedLedgerServer {
    path: PathBuf,
    listener: UnixListener,
}

impl SharedLedgerServer {
    /// Binds the socket for a ledger file that this process has open. [`SharedLedgerServer::serve`]
    /// serves it.
    ///
    /// # Errors
    /// When the socket can't be created.
    pub fn bind(file: &Path) -> Result<Self, ShareError> {
        let path = socket_path(file);
        let failed = |source| ShareError { path: path.clone(), source };
        // This process holds the file's lock, so the process that left the socket has ended.
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let listener = UnixListener::bind(&path).map_err(failed)?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(failed)?;
        Ok(Self { path, listener })
    }

    /// Serves all clients, for ever.
    pub async fn serve<S: Store + 'static>(&self, ledger: Arc<StoreLedger<S>>) {
        let mut connections = JoinSet::new();
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let ledger = Arc::clone(&ledger);
                    // A connection ends with an error when its peer ends.
                    connections
                        .spawn(async move { drop(serve_connection(stream, ledger.store()).await) });
                }
                Err(_) => tokio::time::sleep(ACCEPT_RETRY).await,
            }
            while connections.try_join_next().is_some() {}
        }
    }
}

impl Drop for SharedLedgerServer {
    fn drop(&mut self) {
        // A socket that stays behind does no harm.
        drop(std::fs::remove_file(&self.path));
    }
}

async fn serve_connection(stream: UnixStream, store: &impl Store) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream).await? {
        let answer = match request {
            StoreRequest::Get(key) => StoreResponse::Item(store.get(&key).await),
            StoreRequest::List(partition) => StoreResponse::Items(store.list(&partition).await),
            StoreRequest::Commit(writes) => StoreResponse::Committed(store.commit(&writes).await),
        };
        write(&mut stream, &answer).await?;
    }
    Ok(())
}

/// The next message; `None` at the end.
async fn read<T: for<'de> Deserialize<'de>>(
    stream: &mut BufReader<UnixStream>,
) -> io::Result<Option<T>> {
    let mut line = String::new();
    if stream.take(MAX_LINE_BYTES).read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    Ok(Some(serde_json::from_str(&line)?))
}

async fn write(stream: &mut BufReader<UnixStream>, message: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_string(message)?;
    line.push('\n');
    stream.write_all(line.as_bytes()).await
}

/// The store of a ledger file that another process has open.
#[derive(Debug)]
pub struct SharedStore {
    stream: Mutex<BufReader<UnixStream>>,
}

impl SharedStore {
    async fn request(&self, request: StoreRequest) -> Result<StoreResponse, StoreError> {
        let mut stream = self.stream.lock().await;
        let answered = async {
            write(&mut stream, &request).await?;
            read(&mut stream).await
        };
        let gone = |why: String| StoreError::Owner(format!("does not answer: {why}"));
        match answered.await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(gone("it has ended".to_owned())),
            Err(error) => Err(gone(error.to_string())),
        }
    }
}

fn unexpected_response(answer: &StoreResponse) -> StoreError {
    let answer = match answer {
        StoreResponse::Item(_) => "an item",
        StoreResponse::Items(_) => "items",
        StoreResponse::Committed(_) => "a commit",
    };
    StoreError::Owner(format!("answered {answer} unasked"))
}

#[async_trait]
impl Store for SharedStore {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        match self.request(StoreRequest::Get(key.clone())).await? {
            StoreResponse::Item(item) => item,
            other => Err(unexpected_response(&other)),
        }
    }

    async fn list(&self, partition: &str) -> Result<Vec<(String, Item)>, StoreError> {
        match self.request(StoreRequest::List(partition.to_owned())).await? {
            StoreResponse::Items(items) => items,
            other => Err(unexpected_response(&other)),
        }
    }

    async fn commit(&self, writes: &[Write]) -> Result<bool, StoreError> {
        match self.request(StoreRequest::Commit(writes.to_vec())).await? {
            StoreResponse::Committed(committed) => committed,
            other => Err(unexpected_response(&other)),
        }
    }
}
