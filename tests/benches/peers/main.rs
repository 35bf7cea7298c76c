//! Our engine, tree, map and verifier beside those of others, in one run and one process: who wins each row.
//!
//! `cargo bench -p dgns-tests --bench peers -- [--names 30000] [--leaves 1000000] [--labels 2000000] [--directory 32768]`. Everything
//! is in memory and nothing is durable on either side; one thread, but where the peer makes its own. The peers:
//!
//! - `akd`, the key directory behind WhatsApp's: a map alone, whose labels are hidden by a VRF. That privacy is most of its cost,
//!   and nothing of ours hides who is in the map.
//! - `ct-merkle`, an RFC 6962 tree in memory. Same leaves, same proofs, byte for byte.

#[path = "../load/mod.rs"]
mod load;

mod directory;
mod engine;
mod lookup;
mod table;
mod tree;

use table::Table;

#[tokio::main]
async fn main() {
    let mut table = Table::new();
    // Built first: memory that others freed would be taken again, and not be counted.
    let built = lookup::build(load::argument("--labels", 2_000_000));
    let directory = directory::measure(load::argument("--directory", 32_768)).await;
    engine::measure(&mut table, load::argument("--names", 30_000), &directory);
    tree::measure(&mut table, load::argument("--leaves", 1_000_000));
    lookup::measure(&mut table, built, &directory);
    table.print();
}
