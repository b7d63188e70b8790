//! A proxy between groundcrew and AWS that injects faults: connections that end before the request
//! is forwarded, or after its effect; late responses; HTML pages in place of responses.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;

/// How many of a hundred requests are broken.
const BROKEN: u32 = 12;

const PAGE: &str = "<html><head><title>Bad Gateway</title></head></html>";

/// The fault of a request.
#[derive(Clone, Copy)]
enum ProxyFault {
    Passes,
    /// It is never forwarded.
    CutBefore,
    /// It is forwarded, and the response is dropped.
    CutAfter,
    Slow(Duration),
    /// A page with this status replaces the response; the request is forwarded or not.
    Page(u16, bool),
}

/// A proxy to one server, until it is dropped.
pub struct Proxy {
    pub url: String,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: String,
    injects_faults: AtomicBool,
    broken: AtomicUsize,
    requests: AtomicU64,
    rng: Mutex<Rng>,
    /// Whether its pages may have status 200 for a request that is never forwarded.
    may_lie: bool,
}

impl Proxy {
    /// A proxy to the server at `upstream`, an address.
    pub fn to(upstream: &str, seed: u64) -> Self {
        Self::of(upstream, seed, true)
    }

    /// The same to a webhook, for which 2xx means that it has accepted the request: a false 2xx of
    /// a proxy can't be distinguished from one of the webhook.
    pub fn to_webhook(upstream: &str, seed: u64) -> Self {
        Self::of(upstream, seed, false)
    }

    fn of(upstream: &str, seed: u64, may_lie: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            upstream: upstream.to_owned(),
            injects_faults: AtomicBool::new(true),
            broken: AtomicUsize::new(0),
            requests: AtomicU64::new(0),
            rng: Mutex::new(Rng::with_seed(seed)),
            may_lie,
        });
        let serving = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let shared = serving.clone();
                // The exchange ends when either side closes the connection.
                std::thread::spawn(move || shared.exchange(client));
            }
        });
        Self { url, shared }
    }

    /// From now on all requests are forwarded.
    pub fn stop_faults(&self) {
        self.shared.injects_faults.store(false, Ordering::Relaxed);
    }

    /// Requests so far, and those of them that were broken.
    pub fn counts(&self) -> (u64, usize) {
        let Shared { requests, broken, .. } = &*self.shared;
        (requests.load(Ordering::Relaxed), broken.load(Ordering::Relaxed))
    }
}

impl Shared {
    fn draw_fault(&self) -> ProxyFault {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let mut rng = self.rng.lock().unwrap();
        if !self.injects_faults.load(Ordering::Relaxed) || rng.u32(..100) >= BROKEN {
            return ProxyFault::Passes;
        }
        self.broken.fetch_add(1, Ordering::Relaxed);
        match rng.u32(..6) {
            0 => ProxyFault::CutBefore,
            1 => ProxyFault::CutAfter,
            2 => ProxyFault::Slow(Duration::from_millis(rng.u64(200..2500))),
            3 => ProxyFault::Page(502, false),
            4 => ProxyFault::Page(200, rng.bool() || !self.may_lie),
            _ => ProxyFault::Page(504, true),
        }
    }

    /// One request and its response.
    fn exchange(&self, mut client: TcpStream) -> io::Result<()> {
        let request = read_request(&client)?;
        let fault = self.draw_fault();
        let answer = match fault {
            ProxyFault::CutBefore | ProxyFault::Page(_, false) => Vec::new(),
            ProxyFault::Passes
            | ProxyFault::CutAfter
            | ProxyFault::Slow(_)
            | ProxyFault::Page(_, true) => {
                let mut server = TcpStream::connect(&self.upstream)?;
                server.write_all(&request)?;
                let mut answer = Vec::new();
                server.read_to_end(&mut answer)?;
                answer
            }
        };
        match fault {
            ProxyFault::CutBefore | ProxyFault::CutAfter => return Ok(()),
            ProxyFault::Page(status, _) => {
                let page = format!(
                    "HTTP/1.1 {status} Page\r\nContent-Type: text/html\r\nContent-Length: \
                     {}\r\nConnection: close\r\n\r\n{PAGE}",
                    PAGE.len()
                );
                return client.write_all(page.as_bytes());
            }
            ProxyFault::Slow(wait) => std::thread::sleep(wait),
            ProxyFault::Passes => {}
        }
        client.write_all(&answer)
    }
}

/// Reads a request, and adds a header field that closes the connection after its response.
fn read_request(client: &TcpStream) -> io::Result<Vec<u8>> {
    let mut reader = BufReader::new(client);
    let (mut request, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        if name == "content-length" {
            length = line.split(':').nth(1).and_then(|n| n.trim().parse().ok()).unwrap_or(0);
        }
        if line.trim().is_empty() {
            request.extend_from_slice(b"Connection: close\r\n\r\n");
            break;
        }
        if name != "connection" {
            request.extend_from_slice(line.as_bytes());
        }
    }
    let head = request.len();
    request.resize(head + length, 0);
    reader.read_exact(&mut request[head..])?;
    Ok(request)
}
