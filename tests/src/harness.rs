//! The real programs, run as a stranger runs them: `dgnsd` on free ports with a data directory of its own, `dgns` with a home of
//! its own. A test starts with a [`Site`], starts a [`Server`] on it, and lets a [`Person`] talk to that.

pub mod certificate;
pub mod device;
pub mod export;
pub mod http;
pub mod issuer;
pub mod journey;
pub mod liar;
pub mod load;
pub mod nats;
pub mod needles;
pub mod opaque;
pub mod operator;
pub mod party;
pub mod pebble;
pub mod person;
pub mod ports;
pub mod programs;
pub mod recovery;
pub mod running;
pub mod secondary;
pub mod seed;
pub mod serve;
pub mod server;
pub mod site;
pub mod token_issuer;
pub mod unbound;
pub mod update;
pub mod wait;
pub mod witness;

pub use person::Person;
pub use programs::Ran;
pub use running::Running;
pub use seed::Seed;
pub use server::Server;
pub use site::Site;
