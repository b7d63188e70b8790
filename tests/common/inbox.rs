//! An HTTP server that keeps the requests that it receives: the other system of notifiers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// One request.
#[derive(Clone, Debug)]
pub struct ReceivedRequest {
    /// For example `POST /hooks`.
    pub line: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl ReceivedRequest {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The server. It ends with the test's process.
pub struct Inbox {
    /// As in `127.0.0.1:4577`.
    pub address: String,
    received: Arc<Mutex<Vec<ReceivedRequest>>>,
    status: Arc<Mutex<String>>,
    echoes: Arc<AtomicBool>,
}

impl Inbox {
    pub fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let inbox = Self {
            address: listener.local_addr().unwrap().to_string(),
            received: Arc::default(),
            status: Arc::new(Mutex::new("200 OK".to_owned())),
            echoes: Arc::default(),
        };
        let (received, status) = (inbox.received.clone(), inbox.status.clone());
        let echoes = inbox.echoes.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let status = status.lock().unwrap().clone();
                if let Some(request) = serve(stream, &status, echoes.load(Ordering::SeqCst)) {
                    received.lock().unwrap().push(request);
                }
            }
        });
        inbox
    }

    pub fn received(&self) -> Vec<ReceivedRequest> {
        self.received.lock().unwrap().clone()
    }

    /// Makes its responses repeat the request.
    pub fn echo_requests(&self) {
        self.echoes.store(true, Ordering::SeqCst);
    }

    /// Sets the status of its responses from now on, such as `503 Service Unavailable`; header
    /// fields may follow in lines of their own.
    pub fn set_status(&self, status: &str) {
        *self.status.lock().unwrap() = status.to_owned();
    }
}

/// The request in the forms in which systems repeat it: unchanged, in JSON, in a URL.
fn echo(line: &str) -> String {
    let url = line.split(' ').nth(1).unwrap_or_default();
    let (json, encoded) = (url.replace('/', "\\/"), url.replace('/', "%2F"));
    format!(r#"{{"error":"no route for {url}","url":"{json}","to":"/login?to={encoded}"}}"#)
}

fn serve(mut stream: TcpStream, status: &str, echoes: bool) -> Option<ReceivedRequest> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let line = line.split(" HTTP/").next()?.to_owned();
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        match header.trim_end().split_once(':') {
            Some((name, value)) => {
                headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
            None => break,
        }
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length.and_then(|(_, length)| length.parse().ok()).unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let answer = match echoes {
        true => echo(&line),
        false => r#"{"ok":true,"id":"17"}"#.to_owned(),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{answer}",
        answer.len()
    )
    .ok()?;
    Some(ReceivedRequest { line, headers, body: String::from_utf8_lossy(&body).into_owned() })
}
