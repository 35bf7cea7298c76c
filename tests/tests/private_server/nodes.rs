//! Several nodes of one lobby over a real nats-server: a server and its follower (PROTOCOL 23.16).

use dgns_client::nodes::in_order;
use dgns_tests::harness::nats::Nats;
use dgns_tests::harness::{Server, Site, ports, wait};
use serde_json::Value;

use crate::{NAME, Scene, told};

/// A node that follows the scene's server.
pub(crate) fn follower(scene: &Scene, nats: &Nats) -> (Site, Server) {
    started(scene, Site::new().with("nats", "urls", &nats.url()))
}

fn started(scene: &Scene, site: Site) -> (Site, Server) {
    let site = site.with("follow", "url", &format!("\"{}\"", scene.server.url));
    let server = site.start();
    let size = metric(&scene.server, "dgns_log_size");
    wait::until("the follower is there", || (metric(&server, "dgns_log_size") >= size).then_some(()));
    (site, server)
}

pub(crate) fn metric(server: &Server, name: &str) -> u64 {
    let text = server.get("/metrics").text();
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok()).unwrap_or(0)
}

#[test]
fn a_client_at_one_node_reaches_a_host_at_another_whatever_dies() {
    let nats = Nats::on_a_free_port();
    let scene = Scene::at(Site::new().with("nats", "urls", &nats.url()));
    scene.write("a", b"from another node\n");
    let (_site, other) = follower(&scene, &nats);

    let host = scene.host_at(&other.url, &["--allow", "bob"]);
    // The name's subscription is on its way to the NATS server when the host is told that it is registered.
    let out = scene.beside("a");
    wait::until("the other node is found", || {
        let ran = scene.connect(&["--get", "a", "--out", crate::text(&out)]);
        (ran.code == Some(0)).then_some(())
    });
    assert_eq!(std::fs::read(&out).unwrap(), b"from another node\n");
    assert_eq!(told(&host, "knock")["verdict"], "let_in");
    assert!(metric(&scene.server, "dgns_lobby_bus_heard_total") > 0);

    // Without NATS each node goes on by itself; with it again both do together.
    let port = nats.kill();
    scene.alice.dgns_at(&other.url, &["connect", NAME], "").exits(0);
    scene.alice.dgns(&scene.server, &["connect", NAME]).exits(2);
    let nats = Nats::start(port);
    wait::until("both nodes are back", || {
        let ran = scene.alice.dgns(&scene.server, &["connect", NAME]);
        (ran.code == Some(0)).then_some(())
    });

    // The node dies: nobody listens for the name, and that is said as for any name; the host starts anew at another node.
    other.kill();
    scene.connect(&[]).exits(2);
    assert!(metric(&scene.server, "dgns_lobby_bus_not_here_total") > 0);
    drop(host);
    let _host = scene.host(&["--allow", "bob"]);
    scene.connect(&[]).exits(0);
    drop(nats);
}

#[test]
fn a_host_at_a_follower_judges_grants_by_the_word_of_the_server_that_is_followed() {
    let scene = Scene::new();
    let (_site, other) = started(&scene, Site::new());
    let _host = scene.host_at(&other.url, &["--proof"]);
    let did = scene.alice.dgns(&scene.server, &["whoami"]).exits(0).text("/did");
    let grant = ["grant", "bob", &format!("{did}/x"), "--rights", "rw", "--until", "1d"];
    let granted = scene.alice.dgns(&scene.server, &grant);
    let (grant, sid) = (granted.exits(0).text("/grant"), granted.text("/sid"));
    let append =
        |line: &str| scene.bob.dgns_at(&other.url, &["connect", NAME, "--append", "x", "--grant", &grant], line);
    append("a\n").exits(0);
    assert_eq!(std::fs::read(scene.served().join("x")).unwrap(), b"a\n");
    scene.alice.dgns(&scene.server, &["token", "revoke", "--grant", &sid]).exits(0);
    wait::until("the host hears of it", || (append("b\n").code == Some(4)).then_some(()));
}

#[test]
fn a_node_starts_and_serves_while_there_is_no_nats() {
    let port = ports::free();
    let scene = Scene::at(Site::new().with("nats", "urls", &format!("[\"nats://127.0.0.1:{port}\"]")));
    scene.write("a", b"a");
    let _host = scene.host(&["--allow", "bob"]);
    scene.connect(&[]).exits(0);
    let faulty = Site::new().with("nats", "urls", "[\"http://127.0.0.1\"]").start_in_vain();
    assert!(faulty.stderr.contains("nats.urls"), "{faulty}");
}

/// A node with a URL of its own.
fn node(nats: &Nats, port: u16) -> Site {
    Site::new().with("nats", "urls", &nats.url()).with("http", "listen", &format!("\"127.0.0.1:{port}\"")).with(
        "lobby",
        "url",
        &format!("\"{}\"", url_of(port)),
    )
}

fn url_of(port: u16) -> String {
    format!("http://localhost:{port}")
}

#[test]
fn a_host_stands_at_the_home_node_of_its_record_and_at_the_second_when_that_is_lost() {
    // Goal: both ends meet at the node that the name's records call home, without a bus; when that node dies, at the second. Method: the
    // follower is the home; NATS is killed first, so that nothing is handed on between nodes.
    let nats = Nats::on_a_free_port();
    let (own, home) = loop {
        let (own, home) = (ports::free(), ports::free());
        if own != home && in_order(NAME, &[url_of(own), url_of(home)])[0] == url_of(home) {
            break (own, home);
        }
    };
    let scene = Scene::at(node(&nats, own));
    scene.write("a", b"a");
    let (_site, other) = started(&scene, node(&nats, home));
    let mut both = vec![url_of(own), url_of(home)];
    both.sort();
    for server in [&scene.server, &other] {
        wait::until("each node knows both", || {
            let info: Value = serde_json::from_slice(&server.get("/v1/info").body).unwrap();
            (info["lobby"]["nodes"] == serde_json::json!(both)).then_some(())
        });
    }

    let host = scene.host(&["--allow", "bob"]);
    let listed = scene.alice.dgns(&scene.server, &["records", "list", "db.alice"]).exits(0).json();
    let records: Vec<&str> =
        listed["records"].as_array().unwrap().iter().map(|row| row["value"].as_str().unwrap()).collect();
    assert_eq!(records, [format!("1 localhost. port={home}"), format!("2 localhost. port={own}")]);
    assert_eq!((metric(&other, "dgns_lobby_registrations"), metric(&scene.server, "dgns_lobby_registrations")), (1, 0));
    nats.kill();
    scene.connect(&[]).exits(0);
    scene.connect_at(&other.url, &[]).exits(0);
    assert_eq!(metric(&scene.server, "dgns_lobby_bus_heard_total"), 0);

    other.kill();
    assert_eq!(told(&host, "away")["event"], "away");
    told(&host, "online");
    assert_eq!(metric(&scene.server, "dgns_lobby_registrations"), 1);
    scene.connect(&[]).exits(0);
}
