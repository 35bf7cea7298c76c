use std::collections::VecDeque;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// Answers the requests of each connection with `answers`, one behind the other over all connections; returns its URL and
/// how many connections came.
async fn peer(answers: &'static [&'static str]) -> (String, tokio::sync::watch::Receiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/x", listener.local_addr().unwrap());
    let (count, counted) = tokio::sync::watch::channel(0);
    tokio::spawn(async move {
        let mut answers: VecDeque<_> = answers.iter().collect();
        while let Ok((mut stream, _)) = listener.accept().await {
            count.send_modify(|count| *count += 1);
            let mut request = [0; 4_096];
            while let Ok(1..) = stream.read(&mut request).await {
                let Some(answer) = answers.pop_front() else { break };
                if stream.write_all(answer.as_bytes()).await.is_err() || answer.contains("close") {
                    break;
                }
            }
        }
    });
    (url, counted)
}

fn bounds(deadline_ms: u64) -> Bounds {
    Bounds { deadline: Duration::from_millis(deadline_ms), body_bytes_max: 16 }
}

#[tokio::test]
async fn answers_come_back_whatever_their_status_over_one_connection() {
    // Goal: status, type, Retry-After and body; a redirect is an answer; the connection is used again.
    let (url, connections) = peer(&[
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nhi",
        "HTTP/1.1 302 Found\r\nlocation: /y\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 503 No\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n",
    ])
    .await;
    let outbound = Outbound::new(false);
    let first = outbound.get(&url, bounds(5_000)).await.unwrap();
    assert_eq!((first.status, first.content_type.as_str(), &first.body[..]), (200, "text/plain", &b"hi"[..]));
    assert_eq!(outbound.post(&url, "text/plain", "x", bounds(5_000)).await.unwrap().status, 302);
    let third = outbound.get(&url, bounds(5_000)).await.unwrap();
    assert_eq!((third.status, third.retry_after_s), (503, Some(7)));
    assert_eq!(*connections.borrow(), 1);
}

#[tokio::test]
async fn each_way_to_fail_has_its_code() {
    let outbound = Outbound::new(false);
    let code = async |url: &str, bounds| outbound.get(url, bounds).await.unwrap_err().code();
    assert_eq!(code("no url", bounds(1)).await, "bad_url");
    assert_eq!(code("ftp://127.0.0.1/", bounds(1)).await, "bad_url");
    assert_eq!(code("http://192.0.2.1/", bounds(1)).await, "plain_http");
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_eq!(code(&format!("http://{closed}/"), bounds(5_000)).await, "unreachable");
    assert_eq!(code(&peer(&[""]).await.0, bounds(100)).await, "deadline");
    assert_eq!(code(&peer(&["rubbish\r\n\r\nclose"]).await.0, bounds(5_000)).await, "broken");
    let declared: &[&str] = &["HTTP/1.1 200 OK\r\ncontent-length: 17\r\n\r\n"];
    assert_eq!(code(&peer(declared).await.0, bounds(5_000)).await, "answer_too_large");
    let endless: &[&str] = &["HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n01234567890123456"];
    assert_eq!(code(&peer(endless).await.0, bounds(5_000)).await, "answer_too_large");
    let no = peer(&["HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n"]).await.0;
    assert_eq!(outbound.stream(&no, Duration::from_secs(5)).await.unwrap_err().code(), "refused_status");
}

#[test]
fn plain_http_goes_to_loopback_or_where_the_operator_allows_it() {
    let (strict, lax) = (Outbound::new(false), Outbound::new(true));
    for url in ["http://127.0.0.1:1/", "http://[::1]:1/", "http://localhost:1/", "https://witness.example/"] {
        assert_eq!(strict.check(url), Ok(()), "{url}");
    }
    assert_eq!(strict.check("http://127.0.0.1.example/"), Err(OutboundError::PlainHttp));
    assert_eq!(lax.check("http://witness.example/"), Ok(()));
}

#[tokio::test]
async fn a_stream_gives_what_has_come_and_ends_when_it_falls_silent() {
    let (url, _) = peer(&["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n"]).await;
    let outbound = Outbound::new(false);
    let mut chunks = outbound.stream(&url, Duration::from_millis(300)).await.unwrap();
    assert_eq!(chunks.next().await.unwrap().as_deref(), Some(&b"hi"[..]));
    assert_eq!(chunks.next().await, Err(OutboundError::Deadline));
}
