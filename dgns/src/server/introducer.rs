//! What introduces clients to private servers, put together: the lobby's node, its ways to other nodes, STUN and the relay, pushes.

use std::sync::Arc;

use lobby::push::VapidKey;
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::ServerError;
use crate::app::App;
use crate::config::{Config, TurnConfig};
use crate::core::Core;
use crate::keys::{self, KeyFileError};
use crate::lobby::bus::{self, Bus, Told};
use crate::lobby::desk::{self, Asked};
use crate::lobby::push::{self, Pusher};
use crate::lobby::turn::Relay;
use crate::lobby::{Ice, Node, stun};
use crate::log::touched::Touched;
use crate::people::People;

/// The parts; each is there if the configuration asks for it.
pub(super) struct Introducer {
    doors: Vec<Arc<UdpSocket>>,
    relay: Option<Arc<Relay>>,
    node: Option<Arc<Node>>,
    asked: Option<mpsc::Receiver<Asked>>,
    bus: Option<Arc<Bus>>,
    told: mpsc::Receiver<Told>,
    pusher: Option<Arc<Pusher>>,
}

impl Introducer {
    /// Binds the doors of STUN and TURN, reaches the bus, and makes the node; nothing answers yet. `present` tells whose states changed.
    pub(super) async fn new(
        config: &Config,
        core: &Arc<Core>,
        people: Option<&Arc<People>>,
        present: Arc<Touched>,
    ) -> Result<Self, ServerError> {
        let ice = Arc::new(ice(config)?);
        let mut doors = Vec::new();
        for address in &config.turn.listen {
            let bound = UdpSocket::bind(address).await;
            doors.push(Arc::new(bound.map_err(|error| ServerError::Bind { address: *address, error })?));
        }
        let relay = config.turn.relay.as_ref().map(|relay| {
            Arc::new(Relay::new(relay, config.zone.as_str(), core.clock.clone(), ice.clone(), doors.clone()))
        });
        let (way, told) = bus::way();
        let mut parts = Self { doors, relay, node: None, asked: None, bus: None, told, pusher: None };
        if !config.lobby.enabled {
            return Ok(parts);
        }
        if !config.nats.urls.is_empty() {
            parts.bus = Some(Arc::new(
                Bus::connect(&config.nats, &core.origin, config.node_url()).await.map_err(ServerError::Bus)?,
            ));
        }
        let (way, url) = (parts.bus.as_ref().map(|_| way), config.node_url());
        let (node, asked) = Node::new(core.clone(), &config.lobby, url, present, ice, parts.relay.clone(), way);
        (parts.node, parts.asked) = (Some(Arc::new(node)), Some(asked));
        parts.pusher = people.map(|people| pusher(config, core, people, parts.bus.clone())).transpose()?.map(Arc::new);
        Ok(parts)
    }

    pub(super) fn node(&self) -> Option<Arc<Node>> {
        self.node.clone()
    }

    pub(super) fn bus(&self) -> Option<Arc<Bus>> {
        self.bus.clone()
    }

    pub(super) fn pusher(&self) -> Option<Arc<Pusher>> {
        self.pusher.clone()
    }

    /// Starts what answers, and what follows the log; a stop waits for the tasks returned.
    pub(super) fn start(self, app: &Arc<App>, stopping: &watch::Receiver<bool>) -> Vec<JoinHandle<()>> {
        let clock = &app.core.clock;
        let mut tasks = Vec::new();
        for (via, door) in self.doors.into_iter().enumerate() {
            let relay = self.relay.clone().map(|relay| (via, relay));
            tasks.push(tokio::spawn(stun::serve(door, clock.clone(), relay, stopping.clone())));
        }
        if let Some(relay) = self.relay {
            tasks.push(tokio::spawn(relay.run(stopping.clone())));
        }
        let (Some(node), Some(asked)) = (self.node, self.asked) else { return tasks };
        if let Some(bus) = self.bus.clone() {
            tasks.push(tokio::spawn(bus.run(node.clone(), app.people.is_some(), self.told, stopping.clone())));
        }
        tasks.push(tokio::spawn(node.clone().run(stopping.clone())));
        if let Some(pusher) = self.pusher.clone() {
            tasks.push(tokio::spawn(pusher.run(node.clone(), stopping.clone())));
        }
        tasks.push(tokio::spawn(desk::run(app.clone(), node, self.pusher, self.bus, asked, stopping.clone())));
        tasks
    }
}

/// Returns what clients of the lobby are told of STUN servers and relays.
fn ice(config: &Config) -> Result<Ice, ServerError> {
    let TurnConfig { secret_file, .. } = config.turn.clone();
    let secret = match secret_file.as_os_str().is_empty() {
        // Of this start alone: allocations end with it too, and whoever comes back is given others.
        true => crate::rng::secret().to_vec(),
        false => Ice::read_secret(&secret_file).map_err(|error| ServerError::Data { path: secret_file, error })?,
    };
    Ok(Ice::new(config.turn.stun_urls(), config.turn.relay_urls(), secret))
}

/// Returns who pushes to devices that are not here; its key is made at the first start.
fn pusher(
    config: &Config,
    core: &Arc<Core>,
    people: &Arc<People>,
    bus: Option<Arc<Bus>>,
) -> Result<Pusher, ServerError> {
    let path = config.data.join("keys").join(push::KEY_FILE);
    let secret = keys::secret(&path, "push", &mut crate::rng::system())?;
    let key = VapidKey::from_secret(&secret).map_err(|_| KeyFileError::Form { path, what: "push key" })?;
    let (core, people) = (core.clone(), people.clone());
    Ok(Pusher::new(core, people, bus, key, config.push.clone(), &config.signin.public_url))
}
