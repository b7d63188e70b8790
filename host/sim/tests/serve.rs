//! The model over HTTP: the cases that botocore does not cover.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use groundcrew_sim::{FaultLevel, ServeOptions, random_fleet, serve};
use rstest::rstest;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Longer than anything here takes.
const TIMEOUT: Duration = Duration::from_secs(30);

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let snapshot = random_fleet(3, 0, 1);
        let options = ServeOptions { seed: 1, snapshot, faults: FaultLevel::None, quota: 5 };
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve(listener, options, async {
            let _ = stopped.await;
        }));
        Self { address, stop, task }
    }

    /// Sends bytes and returns everything that comes back until the connection is closed.
    async fn raw(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // The server may respond and close before it has read everything.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = within(stream.read_to_end(&mut answer)).await;
        answer
    }

    async fn request(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> (u16, Vec<u8>) {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
            body.len()
        );
        parts(&self.raw(&[head.as_bytes(), body].concat()).await)
    }

    async fn call(&self, target: &str, members: &Value) -> (u16, Value) {
        let headers = format!("x-amz-target: {target}\r\n");
        let body = members.to_string();
        let (status, body) = self.request("POST", "/", &headers, body.as_bytes()).await;
        (status, serde_json::from_slice(&body).unwrap())
    }

    async fn control(&self, method: &str, name: &str, body: &str) -> (u16, Value) {
        let path = format!("/_groundcrew/{name}");
        let (status, body) = self.request(method, &path, "", body.as_bytes()).await;
        (status, serde_json::from_slice(&body).unwrap())
    }

    fn url(&self, queue: &str) -> String {
        format!("http://{}/123456789012/{queue}", self.address)
    }
}

/// Status and body of a response that is not chunked.
fn parts(answer: &[u8]) -> (u16, Vec<u8>) {
    let split = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("an answer");
    let head = std::str::from_utf8(&answer[..split]).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer[split + 4..].to_vec())
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(TIMEOUT, future).await.expect("in time")
}

#[tokio::test]
async fn a_test_can_see_and_steer_the_world() {
    let server = Server::start().await;
    let (_, offered) = server.control("GET", "offered", "").await;
    assert!(offered["sqs"].as_array().unwrap().contains(&json!("ReceiveMessage")));

    let (_, released) = server.control("POST", "release-artifact", "").await;
    assert!(released["artifact"].as_str().unwrap().starts_with("pa-"));
    assert_eq!(server.control("POST", "event", "{\"my\":\"event\"}").await, (200, json!({})));
    let receive = json!({ "QueueUrl": server.url("groundcrew-events"), "WaitTimeSeconds": 5 });
    let (_, received) = server.call("AmazonSQS.ReceiveMessage", &receive).await;
    assert_eq!(received["Messages"][0]["Body"], "{\"my\":\"event\"}");

    let publish = format!(
        "Action=Publish&Version=2010-03-31&TopicArn={}&Message=down",
        "arn:aws:sns:us-east-1:123456789012:groundcrew-alerts"
    );
    assert_eq!(server.request("POST", "/", "", publish.as_bytes()).await.0, 200);
    let alerts = server.control("GET", "alerts", "").await.1;
    assert_eq!(alerts, json!([{ "subject": "", "message": "down" }]));
    let case = json!({ "subject": "a", "communicationBody": "b" });
    server.call("AWSSupport_20130415.CreateCase", &case).await;
    assert_eq!(server.control("GET", "cases", "").await.1[0]["subject"], "a");
    assert_eq!(server.control("GET", "operations", "").await.1, json!([]));
    let calls = server.control("GET", "calls", "").await.1;
    assert_eq!(calls, json!({ "ReceiveMessage": 1, "Publish": 1, "CreateCase": 1 }));
}

#[tokio::test]
async fn an_update_shows_among_the_operations() {
    let server = Server::start().await;
    let (_, artifact) = server.control("POST", "release-artifact", "").await;
    let call = async |operation: &str, members: Value| {
        let target = format!("AWS242ServiceCatalogService.{operation}");
        let (status, answer) = server.call(&target, &members).await;
        assert_eq!(status, 200, "{answer}");
        answer
    };
    let products = call("SearchProvisionedProducts", json!({})).await;
    let parameters: Vec<Value> = [
        "AccountEmail",
        "AccountName",
        "ManagedOrganizationalUnit",
        "SSOUserEmail",
        "SSOUserFirstName",
        "SSOUserLastName",
    ]
    .map(|key| json!({ "Key": key, "UsePreviousValue": true }))
    .into();
    let update = json!({
        "ProvisionedProductId": products["ProvisionedProducts"][0]["Id"],
        "ProvisioningArtifactId": artifact["artifact"],
        "ProvisioningParameters": parameters,
        "UpdateToken": "token",
    });
    call("UpdateProvisionedProduct", update).await;
    let (_, operations) = server.control("GET", "operations", "").await;
    assert_eq!(operations[0]["account"], products["ProvisionedProducts"][0]["PhysicalId"]);
    assert_eq!((&operations[0]["foreign"], &operations[0]["end"]), (&json!(false), &Value::Null));
}

#[tokio::test]
async fn a_long_poll_ends_when_something_comes() {
    let server = Server::start().await;
    let receive = json!({ "QueueUrl": server.url("groundcrew-events"), "WaitTimeSeconds": 20 });
    let (received, _) = tokio::join!(server.call("AmazonSQS.ReceiveMessage", &receive), async {
        // Wait until the long poll has started.
        while server.control("GET", "calls", "").await.1.get("ReceiveMessage").is_none() {}
        server.control("POST", "event", "{}").await
    });
    assert_eq!(received.1["Messages"][0]["Body"], "{}");
}

#[rstest]
#[case("reply-lost", 1)]
#[case("not-connected", 0)]
#[tokio::test]
async fn a_lost_reply_closes_the_connection(#[case] fares: &str, #[case] cases: usize) {
    let server = Server::start().await;
    let planned = json!({ "operation": "CreateCase", "fares": fares }).to_string();
    assert_eq!(server.control("POST", "next-call", &planned).await.0, 200);
    let body = json!({ "subject": "a", "communicationBody": "b" }).to_string();
    let request = format!(
        "POST / HTTP/1.1\r\nhost: a\r\nx-amz-target: AWSSupport_20130415.CreateCase\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(server.raw(request.as_bytes()).await, b"");
    let opened = server.control("GET", "cases", "").await.1;
    assert_eq!(opened.as_array().unwrap().len(), cases);
}

#[tokio::test]
async fn a_throttled_call_is_told_so() {
    let server = Server::start().await;
    let table = json!({ "TableName": "groundcrew" });
    let planned = json!({ "operation": "DescribeTable", "fares": "throttled" }).to_string();
    server.control("POST", "next-call", &planned).await;
    let (status, body) = server.call("DynamoDB_20120810.DescribeTable", &table).await;
    assert_eq!(status, 400);
    assert_eq!(body["__type"], "com.amazonaws.dynamodb.v20120810#ThrottlingException");
    assert_eq!(server.call("DynamoDB_20120810.DescribeTable", &table).await.0, 200);
}

#[rstest]
#[case::nothing("GET", "/", "", b"", 400)]
#[case::no_service("POST", "/", "x-amz-target: AmazonEC2.RunInstances\r\n", b"{}", 400)]
#[case::no_target("POST", "/", "x-amz-target: é\r\n", b"{}", 400)]
#[case::no_operation("POST", "/", "x-amz-target: AmazonSQS.Explode\r\n", b"{}", 400)]
#[case::no_json("POST", "/", "x-amz-target: AmazonSQS.SendMessage\r\n", b"\xff\x00{", 400)]
#[case::no_members("POST", "/", "x-amz-target: AmazonSQS.SendMessage\r\n", b"", 400)]
#[case::other_types("POST", "/", "x-amz-target: AmazonSQS.SendMessage\r\n", b"[1]", 400)]
#[case::form("POST", "/", "", b"Action=%ff&Version=2011-06-15", 400)]
#[case::bytes("POST", "/", "", b"\xff\xfe\x00", 400)]
#[case::cbor(
    "POST",
    "/service/AWS242ServiceCatalogService/operation/DescribeRecord",
    "",
    b"\xff",
    400
)]
#[case::odd_path("POST", "/service//operation/", "", b"", 400)]
#[case::odd_method("PATCH", "/123456789012/x", "", b"", 400)]
#[case::control("GET", "/_groundcrew/nothing", "", b"", 404)]
#[case::event("POST", "/_groundcrew/event", "", b"\xff", 400)]
#[case::fault("POST", "/_groundcrew/next-call", "", b"{}", 400)]
#[tokio::test]
async fn whatever_comes_is_answered(
    #[case] method: &str,
    #[case] path: &str,
    #[case] headers: &str,
    #[case] body: &[u8],
    #[case] status: u16,
) {
    let server = Server::start().await;
    let (answered, body) = server.request(method, path, headers, body).await;
    assert_eq!(answered, status);
    let well_formed = body.starts_with(b"<ErrorResponse")
        || serde_json::from_slice::<Value>(&body).is_ok_and(|body| body.is_object())
        || minicbor::Decoder::new(&body).map().is_ok();
    assert!(well_formed, "{}", String::from_utf8_lossy(&body));
    assert_eq!(server.control("GET", "offered", "").await.0, 200, "and the server lives on");
}

#[tokio::test]
async fn a_deeply_nested_request_is_refused() {
    let server = Server::start().await;
    for (open, target) in
        [("{\"L\":[", "DynamoDB_20120810.PutItem"), ("[", "AmazonSQS.SendMessage")]
    {
        let body = format!("{{\"Item\":{{\"a\":{}", open.repeat(100_000));
        let headers = format!("x-amz-target: {target}\r\n");
        assert_eq!(server.request("POST", "/", &headers, body.as_bytes()).await.0, 400);
    }
}

#[tokio::test]
async fn a_huge_request_is_refused() {
    let server = Server::start().await;
    let headers = "x-amz-target: AmazonSQS.SendMessage\r\n";
    let body = vec![b' '; 10 * 1024 * 1024 + 1];
    let (status, answer) = server.request("POST", "/", headers, &body).await;
    assert_eq!(status, 413);
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer["__type"], "RequestEntityTooLargeException");
    let (status, _) = server.request("POST", "/", headers, &body[1..]).await;
    assert_eq!(status, 400, "not JSON, but not too large");
}

#[tokio::test]
async fn what_is_no_http_closes_the_connection_alone() {
    let server = Server::start().await;
    let answer = server.raw(b"\x16\x03\x01\x02\x00\x01nonsense\r\n\r\n").await;
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400"));
    assert_eq!(server.control("GET", "offered", "").await.0, 200);
}

#[tokio::test]
async fn it_stops_when_told_whatever_is_going_on() {
    let server = Server::start().await;
    let idle = TcpStream::connect(server.address).await.unwrap();
    let body = json!({ "QueueUrl": "groundcrew-events", "WaitTimeSeconds": 20 }).to_string();
    let request = format!(
        "POST / HTTP/1.1\r\nhost: a\r\nx-amz-target: AmazonSQS.ReceiveMessage\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut polling = TcpStream::connect(server.address).await.unwrap();
    polling.write_all(request.as_bytes()).await.unwrap();
    while server.control("GET", "calls", "").await.1.get("ReceiveMessage").is_none() {}
    server.stop.send(()).unwrap();
    within(server.task).await.unwrap().unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
    drop(idle);
}
