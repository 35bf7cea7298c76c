//! One connection between two ends: ICE, DTLS, two channels; closed as a whole (PROTOCOL 23.10).
//!
//! An offering end is made, its transport sent as a card, and [`Link::answered`] by that of the other; an answering end is made
//! from the other's. Then [`Link::open`] waits until both channels stand and holds the certificate of the other end against the
//! fingerprint of its card once more.
//!
//! A path that breaks is renewed over the same connection: [`Link::restarting`] on the end that offered, [`Link::restarted`] on the
//! other. Channels and what is under way in them stay.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use identity::hash::{Hash, sha256};
use lobby::card::{Candidate, Transport};
use lobby::message::IceServer;
use rtc::ice::mdns::MulticastDnsMode;
use rtc::peer_connection::transport::RTCDtlsRole;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::{Instant, timeout_at};
use webrtc::data_channel::{DataChannel, DataChannelEvent, RTCDataChannelInit};
use webrtc::error::Error;
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCConfigurationBuilder, RTCIceCandidateInit,
    RTCIceConnectionState, RTCIceGatheringState, RTCIceServer, RTCPeerConnectionState, RTCSessionDescription,
    SettingEngine, SettingEngineBuilder,
};
use webrtc::runtime::TokioRuntime;

use crate::MESSAGE_BYTES_MAX;
use crate::runtime::{Sockets, window};
use crate::sdp::{self, Role};
use crate::tunnel::{self, Tunnel};

/// How long candidates are gathered: one that a server beyond does not answer for is not waited for.
const GATHER: Duration = Duration::from_millis(1_500);

/// Bytes under way on a channel before a sender waits.
const SEND_MAX: usize = 1 << 20;

/// Messages of a channel that wait to be read; then the other end waits.
const WAITING_MAX: usize = 64;

/// How long without a sign of life a connection is doubted, and then given up: time for a lobby to come back and a path to be renewed.
const DOUBTED: Duration = Duration::from_secs(5);
const GIVEN_UP: Duration = Duration::from_secs(60);

/// A connection's settings.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Where to gather candidates.
    pub ice: Vec<IceServer>,
    /// Loopback addresses count too: the other end may be on this machine.
    pub loopback: bool,
}

/// The channels; each of its number on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// 0: hellos, requests, short answers.
    Control,
    /// 2: pieces of what was asked for.
    Bulk,
}

impl Channel {
    const BOTH: [Self; 2] = [Self::Control, Self::Bulk];

    const fn id(self) -> u16 {
        match self {
            Self::Control => 0,
            Self::Bulk => 2,
        }
    }
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// No path led to the other end in time, or the one that did broke. Code `no_path`.
    #[error("no path leads to the other end")]
    NoPath,
    /// The other end shows another certificate than its card names. Code `wrong_certificate`.
    #[error("the other end shows another certificate than its signed card names")]
    WrongCertificate,
    /// It is closed. Code `closed`.
    #[error("the connection is closed")]
    Closed,
    /// WebRTC failed here. Code `webrtc`.
    #[error("WebRTC: {0}")]
    WebRtc(String),
}

impl LinkError {
    /// Returns the stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoPath => "no_path",
            Self::WrongCertificate => "wrong_certificate",
            Self::Closed => "closed",
            Self::WebRtc(_) => "webrtc",
        }
    }
}

impl From<Error> for LinkError {
    fn from(error: Error) -> Self {
        match error {
            Error::ErrDataChannelClosed | Error::ErrConnectionClosed => Self::Closed,
            error => Self::WebRtc(error.to_string()),
        }
    }
}

/// How the path of a connection stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Path {
    /// None was found yet.
    #[default]
    Sought,
    /// One leads to the other end.
    Stands,
    /// It was silent for 5 s: another one may be needed.
    Doubted,
}

/// A connection.
pub struct Link {
    peer: Arc<dyn PeerConnection>,
    channels: [Arc<dyn DataChannel>; 2],
    state: watch::Receiver<RTCPeerConnectionState>,
    path: watch::Receiver<Path>,
    events: Arc<Events>,
    /// How many descriptions of the other end were taken; held while one is, and answered.
    described: Mutex<u64>,
    /// How many channels opened.
    opened: watch::Receiver<usize>,
    messages: Mutex<mpsc::Receiver<(Channel, Bytes)>>,
    loopback: bool,
    /// The ways to relays over TCP.
    _tunnels: Vec<Tunnel>,
}

impl Link {
    /// Returns an end that asks, and how it is reached.
    pub async fn offering(settings: &Settings) -> Result<(Self, Transport), LinkError> {
        let link = Self::new(settings, Role::Offer).await?;
        let offer = link.peer.create_offer(None).await?;
        let own = link.own(offer).await?;
        Ok((link, own))
    }

    /// Returns an end that answers somebody who is reached by `theirs`, and how it is reached itself.
    pub async fn answering(settings: &Settings, theirs: &Transport) -> Result<(Self, Transport), LinkError> {
        let link = Self::new(settings, Role::Answer).await?;
        let own = link.restarted(theirs).await?;
        Ok((link, own))
    }

    /// Takes the answer to the offer, or to the restart, that was made last.
    pub async fn answered(&self, theirs: &Transport) -> Result<(), LinkError> {
        let mut described = self.described.lock().await;
        let text = self.describe(theirs, Role::Answer, &mut described);
        Ok(self.peer.set_remote_description(RTCSessionDescription::answer(text)?).await?)
    }

    /// Looks for other paths, as the end that offered, and returns how it is reached now.
    pub async fn restarting(&self) -> Result<Transport, LinkError> {
        self.peer.restart_ice().await?;
        let offer = self.peer.create_offer(None).await?;
        self.own(offer).await
    }

    /// Looks for other paths, as the end that answers, to the other one that is reached by `theirs` now; returns how it is reached itself.
    pub async fn restarted(&self, theirs: &Transport) -> Result<Transport, LinkError> {
        let mut described = self.described.lock().await;
        let text = self.describe(theirs, Role::Offer, &mut described);
        self.peer.set_remote_description(RTCSessionDescription::offer(text)?).await?;
        let answer = self.peer.create_answer(None).await?;
        self.own(answer).await
    }

    /// Returns how the path stands, now and whenever that changes.
    pub fn path(&self) -> watch::Receiver<Path> {
        self.path.clone()
    }

    fn describe(&self, theirs: &Transport, role: Role, described: &mut u64) -> String {
        *described += 1;
        sdp::remote(theirs, role, *described, self.loopback)
    }

    /// Takes further candidates of the other end.
    pub async fn more(&self, ufrag: &str, candidates: &[Candidate]) -> Result<(), LinkError> {
        for candidate in candidates.iter().filter(|candidate| sdp::is_tried(candidate, self.loopback)) {
            let init = RTCIceCandidateInit {
                candidate: sdp::line(candidate),
                sdp_mid: Some("0".to_owned()),
                sdp_mline_index: Some(0),
                username_fragment: Some(ufrag.to_owned()),
                ..Default::default()
            };
            self.peer.add_ice_candidate(init).await?;
        }
        Ok(())
    }

    /// Waits until both channels stand, then holds the other end's certificate against `fingerprint`. What fails is closed.
    pub async fn open(&self, fingerprint: &Hash, deadline: Instant) -> Result<(), LinkError> {
        let opened = timeout_at(deadline, self.stand()).await.unwrap_or(Err(LinkError::NoPath));
        let shown = match opened {
            Ok(()) => self.has_certificate(fingerprint).await,
            Err(error) => Err(error),
        };
        if shown.is_err() {
            self.close().await;
        }
        shown
    }

    async fn stand(&self) -> Result<(), LinkError> {
        let (mut opened, mut state) = (self.opened.clone(), self.state.clone());
        tokio::select! {
            all = opened.wait_for(|opened| *opened == Channel::BOTH.len()) => all.map(drop).map_err(|_| LinkError::Closed),
            _ = state.wait_for(|state| is_over(*state)) => Err(LinkError::NoPath),
        }
    }

    async fn has_certificate(&self, fingerprint: &Hash) -> Result<(), LinkError> {
        let sctp = self.peer.sctp().await.ok_or(LinkError::Closed)?;
        let shown = sctp.transport().get_remote_certificates().await?;
        match shown.first().is_some_and(|certificate| sha256(&[certificate]) == *fingerprint) {
            true => Ok(()),
            false => Err(LinkError::WrongCertificate),
        }
    }

    /// Sends a message of at most [`MESSAGE_BYTES_MAX`]; waits while too much is under way.
    pub async fn send(&self, channel: Channel, message: &[u8]) -> Result<(), LinkError> {
        let channel = &self.channels[usize::from(channel == Channel::Bulk)];
        Ok(channel.send(BytesMut::from(message)).await?)
    }

    /// Returns the next message of either channel; `None` once the connection is over.
    pub async fn receive(&self) -> Option<(Channel, Bytes)> {
        let mut state = self.state.clone();
        let mut messages = self.messages.lock().await;
        tokio::select! {
            biased;
            message = messages.recv() => message,
            _ = state.wait_for(|state| is_over(*state)) => None,
        }
    }

    /// Ends the connection; the other end notices at once.
    pub async fn close(&self) {
        let _ = self.peer.close().await;
    }

    async fn new(settings: &Settings, role: Role) -> Result<Self, LinkError> {
        let (state_told, state) = watch::channel(RTCPeerConnectionState::New);
        let (path_told, path) = watch::channel(Path::default());
        let events = Arc::new(Events { state: state_told, path: path_told, gathered: watch::Sender::new(false) });
        let tunneled = tunnel::servers(&settings.ice).await;
        let (servers, tunnels) = tunneled.map_err(|error| LinkError::WebRtc(error.to_string()))?;
        let servers = servers.into_iter().map(|server| {
            let IceServer { urls, user: username, credential } = server;
            RTCIceServer { urls, username, credential }
        });
        let configuration = RTCConfigurationBuilder::new().with_ice_servers(servers.collect()).build();
        let peer = PeerConnectionBuilder::new()
            .with_configuration(configuration)
            .with_setting_engine(engine(settings, role))
            .with_runtime(Arc::new(Sockets(TokioRuntime)))
            .with_handler(events.clone())
            .with_udp_addrs(addresses(settings.loopback))
            .with_dedicated_reactor_pool_size(std::thread::available_parallelism().map_or(1, Into::into))
            .with_data_channel_send_buffer_limit(SEND_MAX)
            .build()
            .await?;
        let peer: Arc<dyn PeerConnection> = Arc::new(peer);
        let (opened_told, opened) = watch::channel(0);
        let (waiting, messages) = mpsc::channel(WAITING_MAX);
        let opened_told = Arc::new(opened_told);
        let control = channel(&peer, Channel::Control).await?;
        let bulk = channel(&peer, Channel::Bulk).await?;
        for (which, channel) in [(Channel::Control, control.clone()), (Channel::Bulk, bulk.clone())] {
            tokio::spawn(read(which, channel, waiting.clone(), opened_told.clone()));
        }
        let messages = Mutex::new(messages);
        let (channels, described, loopback) = ([control, bulk], Mutex::new(0), settings.loopback);
        Ok(Self { peer, channels, state, path, events, described, opened, messages, loopback, _tunnels: tunnels })
    }

    /// Takes a description of its own, and returns how this end is reached by it, once that is known.
    async fn own(&self, description: RTCSessionDescription) -> Result<Transport, LinkError> {
        let mut gathered = self.events.gathered.subscribe();
        self.events.gathered.send_replace(false);
        self.peer.set_local_description(description).await?;
        let _ = tokio::time::timeout(GATHER, gathered.wait_for(|gathered| *gathered)).await;
        let description = self.peer.local_description().await.ok_or(LinkError::Closed)?;
        let message_max = u32::try_from(MESSAGE_BYTES_MAX).expect("a constant");
        let own = sdp::own(&description.sdp, message_max, self.loopback);
        own.ok_or_else(|| LinkError::WebRtc("its own description lacks a line".to_owned()))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let peer = self.peer.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { peer.close().await });
        }
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("state", &*self.state.borrow()).finish_non_exhaustive()
    }
}

/// What WebRTC tells of a connection.
struct Events {
    state: watch::Sender<RTCPeerConnectionState>,
    path: watch::Sender<Path>,
    gathered: watch::Sender<bool>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Events {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        self.gathered.send_replace(state == RTCIceGatheringState::Complete);
    }

    async fn on_ice_connection_state_change(&self, state: RTCIceConnectionState) {
        let path = match state {
            RTCIceConnectionState::Connected | RTCIceConnectionState::Completed => Path::Stands,
            RTCIceConnectionState::Disconnected | RTCIceConnectionState::Failed => Path::Doubted,
            _ => Path::Sought,
        };
        self.path.send_replace(path);
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        self.state.send_replace(state);
    }
}

/// Where sockets are opened: at every address of the machine, and on loopback if that counts.
fn addresses(loopback: bool) -> Vec<String> {
    let is_there = |address: &&str| std::net::UdpSocket::bind(*address).is_ok();
    let all = ["0.0.0.0:0", "[::]:0"].into_iter().filter(is_there);
    loopback.then_some("127.0.0.1:0").into_iter().chain(all).map(str::to_owned).collect()
}

fn is_over(state: RTCPeerConnectionState) -> bool {
    matches!(state, RTCPeerConnectionState::Failed | RTCPeerConnectionState::Closed)
}

fn engine(settings: &Settings, role: Role) -> SettingEngine {
    let mut engine = SettingEngineBuilder::new()
        .with_ice_timeouts(Some(DOUBTED), Some(GIVEN_UP), Some(Duration::from_secs(2)))
        // The default of 200 ms delays DTLS by one.
        .with_ice_connection_attempts(Some(Duration::from_millis(20)), Some(70))
        .with_relay_acceptance_min_wait(Some(Duration::from_millis(500)))
        .with_multicast_dns_mode(MulticastDnsMode::Disabled)
        .with_include_loopback_candidate(settings.loopback)
        // A path that broke may have broken with the address of its socket.
        .with_discard_local_candidates_during_ice_restart(true)
        .with_sctp_max_receive_buffer_size(window());
    if role == Role::Answer {
        engine = engine.with_answering_dtls_role(RTCDtlsRole::Client);
    }
    engine.build()
}

/// Makes a channel that both sides know without a word.
async fn channel(peer: &Arc<dyn PeerConnection>, which: Channel) -> Result<Arc<dyn DataChannel>, LinkError> {
    let init = RTCDataChannelInit { negotiated: Some(which.id()), ..Default::default() };
    Ok(peer.create_data_channel(if which == Channel::Control { "control" } else { "bulk" }, Some(init)).await?)
}

/// Hands on what arrives on a channel until it closes.
async fn read(
    which: Channel,
    channel: Arc<dyn DataChannel>,
    waiting: mpsc::Sender<(Channel, Bytes)>,
    opened: Arc<watch::Sender<usize>>,
) {
    while let Some(event) = channel.poll().await {
        match event {
            DataChannelEvent::OnOpen => opened.send_modify(|opened| *opened += 1),
            DataChannelEvent::OnMessage(message) => {
                let handed_on = waiting.send((which, message.data.freeze())).await;
                if handed_on.is_err() {
                    return;
                }
            }
            DataChannelEvent::OnClose => return,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
