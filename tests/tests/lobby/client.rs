//! A client of the lobby on tokio-tungstenite: it keeps what a session needs to go on, and nothing else.

use std::time::Duration;

use dgns_tests::harness::Server;
use dgns_tests::harness::load::origin;
use dgns_tests::harness::wait::PATIENCE;
use futures_util::{SinkExt as _, StreamExt as _};
use identity::did::Did;
use identity::key::SigningKey;
use lobby::hello::{HOP_START, Hello, Received, SignedHello, hop};
use lobby::message::{Challenge, Form, Frame, Value, Visible, Welcome};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Response};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Who somebody is to the lobby.
#[derive(Clone)]
pub struct Device {
    pub key: SigningKey,
    pub did: Did,
    pub instance: [u8; 8],
}

impl Device {
    pub fn new(key: &SigningKey, did: Did) -> Self {
        Self { key: key.clone(), did, instance: [1; 8] }
    }
}

/// A socket; a session once its hello was welcomed.
pub struct Client {
    stream: Stream,
    form: Form,
    pub challenge: Challenge,
    pub received: Received,
}

/// How a socket ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Closed {
    pub code: u16,
    pub reason: String,
}

/// Asks for a socket; the answer if it is none.
pub async fn knock_on(server: &Server, protocol: Option<&str>) -> Result<Stream, Box<Response<Option<Vec<u8>>>>> {
    let mut request = format!("ws://{}/v1/lobby", server.http).into_client_request().unwrap();
    if let Some(protocol) = protocol {
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_str(protocol).unwrap());
    }
    match connect_async(request).await {
        Ok((stream, _)) => Ok(stream),
        Err(Error::Http(response)) => Err(Box::new((*response).clone())),
        Err(error) => panic!("no socket: {error}"),
    }
}

impl Client {
    /// Opens a socket and reads the challenge.
    pub async fn open(server: &Server, form: Form) -> Self {
        let protocol = if form == Form::Cbor { "dgns.lobby.v1+cbor" } else { "dgns.lobby.v1+json" };
        let stream = knock_on(server, Some(protocol)).await.expect("a socket");
        let challenge = Challenge {
            challenge: [0; 32],
            url: String::new(),
            node: String::new(),
            time_ms: 0,
            features: vec![],
            limits: vec![],
        };
        let received = Received { sid: [0; 16], n: 0, hash: HOP_START };
        let mut client = Self { stream, form, challenge, received };
        let Frame::Challenge(challenge) = client.read().await else { panic!("a challenge comes first") };
        assert_eq!(challenge.url, format!("ws://{}/v1/lobby", server.http), "the hello is for where this client is");
        client.challenge = challenge;
        client
    }

    /// Says hello and is welcomed.
    pub async fn enter(server: &Server, form: Form, who: &Device) -> Self {
        let mut client = Self::open(server, form).await;
        client.hello(who, None).await;
        assert!(!client.welcomed().await.resumed);
        client
    }

    /// Goes on with a session over another socket.
    pub async fn resume(server: &Server, form: Form, who: &Device, received: Received) -> (Self, Welcome) {
        let mut client = Self::open(server, form).await;
        client.hello(who, Some(received)).await;
        let welcome = client.welcomed().await;
        (client, welcome)
    }

    pub async fn hello(&mut self, who: &Device, resume: Option<Received>) {
        self.say_hello(&self.hello_of(who, resume), &who.key).await;
        if let Some(received) = resume {
            self.received = received;
        }
    }

    /// Returns the hello of a device on this socket.
    pub fn hello_of(&self, who: &Device, resume: Option<Received>) -> Hello {
        Hello {
            challenge: self.challenge.challenge,
            url: self.challenge.url.clone(),
            device: who.key.public(),
            did: who.did,
            instance: who.instance,
            resume,
            unix_s: 0,
        }
    }

    pub async fn say_hello(&mut self, hello: &Hello, key: &SigningKey) {
        self.say_hello_with(hello, key, None).await;
    }

    /// Says hello and shows a token.
    pub async fn hello_with(&mut self, who: &Device, token: &str) {
        self.say_hello_with(&self.hello_of(who, None), &who.key, Some(token.to_owned())).await;
    }

    async fn say_hello_with(&mut self, hello: &Hello, key: &SigningKey, token: Option<String>) {
        let envelope = SignedHello::sign(hello, &origin(), key).unwrap().as_bytes().to_vec();
        self.say(&Frame::Hello { envelope, token, head: None }).await;
    }

    pub async fn welcomed(&mut self) -> Welcome {
        let Frame::Welcome(welcome) = self.read().await else { panic!("a welcome") };
        if !welcome.resumed {
            self.received = Received { sid: welcome.sid, n: 0, hash: HOP_START };
        }
        welcome
    }

    pub async fn say(&mut self, frame: &Frame) {
        let bytes = frame.encode(self.form);
        self.send(match self.form {
            Form::Cbor => Message::Binary(bytes),
            Form::Json => Message::text(String::from_utf8(bytes.to_vec()).unwrap()),
        })
        .await;
    }

    pub async fn send(&mut self, message: Message) {
        self.stream.send(message).await.expect("the server reads");
    }

    /// Sends what the server may no longer want.
    pub async fn try_send(&mut self, message: Message) -> Result<(), ()> {
        match tokio::time::timeout(Duration::from_secs(2), self.stream.send(message)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(()),
        }
    }

    /// Reads the next frame; panics if the socket ends instead.
    pub async fn read(&mut self) -> Frame {
        match self.next().await {
            Ok(frame) => frame,
            Err(closed) => panic!("the socket ended: {closed:?}"),
        }
    }

    /// Reads the next frame, or how the socket ended.
    pub async fn try_read(&mut self) -> Result<Frame, Closed> {
        self.next().await
    }

    /// Reads the next frame that `wanted` wants.
    pub async fn until<T>(&mut self, mut wanted: impl FnMut(&Frame) -> Option<T>) -> T {
        loop {
            if let Some(found) = wanted(&self.read().await) {
                return found;
            }
        }
    }

    /// Reads on to the end; returns the code of the last `err` or `revoke`, and the end.
    pub async fn ended(&mut self) -> (String, Closed) {
        let mut last = String::new();
        loop {
            match self.next().await {
                Ok(Frame::Err { code, .. } | Frame::Revoke { code, .. }) => last = code,
                Ok(_) => {}
                Err(closed) => return (last, closed),
            }
        }
    }

    async fn next(&mut self) -> Result<Frame, Closed> {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.stream.next()).await.expect("the server says something");
            let bytes = match message {
                Some(Ok(Message::Binary(bytes))) if self.form == Form::Cbor => bytes,
                Some(Ok(Message::Text(text))) if self.form == Form::Json => text.into(),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(Message::Close(Some(frame)))) => {
                    return Err(Closed { code: frame.code.into(), reason: frame.reason.to_string() });
                }
                Some(Ok(other)) => panic!("of the other form: {other:?}"),
                Some(Err(_)) | None => return Err(Closed { code: 0, reason: String::new() }),
            };
            let frame = Frame::decode(&bytes, self.form).unwrap_or_else(|error| panic!("{error}: {bytes:?}"));
            if frame.counts() {
                let Received { n, hash, .. } = self.received;
                (self.received.n, self.received.hash) = (n + 1, hop(&hash, &bytes));
            }
            return Ok(frame);
        }
    }

    /// Hosts a name.
    pub async fn register(&mut self, name: &str, visible: Visible) {
        self.say(&Frame::Register { id: 1, name: name.to_owned(), visible, guard: None }).await;
        let value = self.until(|frame| match frame {
            Frame::Ok { id: 1, value } => Some(value.clone()),
            Frame::Err { code, .. } => panic!("{code}"),
            _ => None,
        });
        assert!(matches!(&value.await, Some(Value::List(row)) if row[0] == Value::Uint(120_000)));
    }

    /// Breaks the socket as a network does; returns what was received.
    pub async fn break_off(self) -> Received {
        let received = self.received;
        drop(self.stream);
        // The server notices in its own time; nothing here depends on when.
        tokio::time::timeout(Duration::ZERO, std::future::pending::<()>()).await.ok();
        received
    }
}
