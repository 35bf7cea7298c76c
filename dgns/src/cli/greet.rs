//! What a start says: where the server answers, what was made, what to type next.

use dgns::dns::answer::Transport;
use dgns::server::{Server, ServerError};
use serde_json::json;

/// Prints the greeting, or one JSON line. Returns whether the operator's words were shown to a person.
///
/// The words go to a terminal alone: where the output is kept by a program, they stay in their file, and the file is named.
pub(super) fn greet(server: &Server, as_json: bool, to_terminal: bool) -> Result<bool, ServerError> {
    let words = server.operator_words()?;
    let core = &server.app.core;
    let url = format!("http://{}", server.http);
    let cosigners = server.app.cosigners.as_ref().map(|roles| roles.policy_lines(&url)).unwrap_or_default();
    let words_file = server.app.config.data.join("keys").join(dgns::setup::WORDS_FILE);
    if as_json {
        let line = json!({
            "event": "ready",
            "made": server.made,
            "http": url,
            "dns": server.app.dns_addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "dot": encrypted(server, Transport::Tls),
            "doh": encrypted(server, Transport::Https),
            "doq": encrypted(server, Transport::Quic),
            "zone": core.zone.as_str(),
            "origin": core.origin.as_str(),
            "vkey": core.vkey.to_string(),
            "size": core.live.head().size(),
            "policy_lines": cosigners,
            "operator_words_file": words.as_ref().map(|_| words_file.display().to_string()),
        });
        println!("{line}");
        return Ok(false);
    }
    println!("dgnsd {} serves {}\n", env!("CARGO_PKG_VERSION"), core.zone.as_str());
    let data = server.app.config.data.display();
    let size = core.live.head().size();
    let follows = server.app.follows();
    match (server.made, &follows) {
        (true, None) => println!("  made     {data}: keys, database, and a log of {size} entries"),
        (true, Some(_)) => println!("  made     {data}: a copy of the log, {size} entries, each verified"),
        (false, _) => println!("  data     {data}: a log of {size} entries"),
    }
    if let Some(follows) = &follows {
        println!("  follows  {}, quorum {}", follows.url, server.app.quorum());
    }
    println!("  HTTP     {url}");
    if server.app.config.http.pages && server.http.ip().is_loopback() {
        println!("  pages    http://localhost:{}/", server.http.port());
    }
    for address in &server.app.dns_addresses {
        println!("  DNS      {address} (UDP and TCP)");
    }
    for address in encrypted(server, Transport::Tls) {
        println!("  DNS      {address} (TLS)");
    }
    for address in encrypted(server, Transport::Https) {
        println!("  DNS      https://{address}/dns-query");
    }
    for address in encrypted(server, Transport::Quic) {
        println!("  DNS      {address} (QUIC)");
    }
    println!("  log key  {}", core.vkey);
    for line in &cosigners {
        println!("  cosigns  {line}");
    }
    let shown = match &words {
        Some(words) if to_terminal => {
            println!(
                "\nThe operator's words rule this server's own name. Write them down: they are shown this once.\n"
            );
            println!("  {}", words.phrase().as_str());
            true
        }
        Some(_) => {
            println!("\nThe operator's words rule this server's own name. Write them down, then erase their file:");
            println!("  {}", words_file.display());
            false
        }
        None => false,
    };
    next(server);
    Ok(shown)
}

/// Returns where DNS answers over an encrypted transport.
fn encrypted(server: &Server, over: Transport) -> Vec<String> {
    let addresses = server.app.dns_encrypted.iter().filter(|(transport, _)| *transport == over);
    addresses.map(|(_, address)| address.to_string()).collect()
}

/// Says what to type in another shell.
fn next(server: &Server) {
    let zone = server.app.core.zone.as_str();
    let option = match server.http.to_string().as_str() {
        "127.0.0.1:5380" => String::new(),
        other => format!(" --server http://{other}"),
    };
    println!("\nNext, in another shell:\n");
    if server.app.door().is_some() {
        println!("  cargo dgns{option} up alice");
        println!("  cargo dgns{option} records set alice A 192.0.2.1");
    }
    if let Some(dns) = server.app.dns_addresses.first() {
        println!("  dig @{} -p {} alice.{zone} A", dns.ip(), dns.port());
    }
    println!("  cargo dgns{option} resolve alice");
    println!("  cargo dgns{option} audit\n");
    println!("Ctrl-C stops the server; nothing acknowledged is lost, however it stops.");
}

/// Returns the error of a words file that cannot be erased.
pub(super) fn io(server: &Server, error: std::io::Error) -> ServerError {
    ServerError::Data { path: server.app.config.data.join("keys").join(dgns::setup::WORDS_FILE), error }
}
