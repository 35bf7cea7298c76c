//! Tokens end to end: a real `dgnsd`, devices that ask it, audiences that check, and what each refusal is called (PROTOCOL 17, 18).

mod asking;
mod cli;
mod crash;
mod grants;
mod leases;
mod profiles;
mod revoked;
mod time;
