//! The whole as a stranger meets it: the real `dgnsd` on free ports, the real `dgns` with a home of its own.

mod acts;
mod aliases;
mod caught;
mod chains;
mod exchange;
mod exit_codes;
mod faults;
mod intruders;
mod keys;
mod login;
mod mail;
mod monitor;
mod mutual;
mod newcomer;
mod notaries;
mod notices;
mod pairing;
mod personal;
mod races;
mod rotation;
mod rotation_witnessed;
mod starts;
mod swapped;
mod things;
mod trust;
mod witnessed;
