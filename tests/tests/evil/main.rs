//! Those who lie: whoever sits between client and server, a server that serves other bytes than it signed, an operator who signs
//! what the rules forbid, and a disk that forgets. Each lie is told to the real programs, and must be found and named.

mod adversary;
mod answers;
mod convicted;
mod delegated;
mod export;
mod follower;
mod forge;
mod forged;
mod lagging;
mod lies;
mod people;
mod resumed;
mod stored;
mod tampered;
mod verifier;
mod watched;
