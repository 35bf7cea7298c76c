//! Several nodes of one lobby over a real nats-server: a server and its follower (PROTOCOL 23.16).

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use dgns_tests::harness::{Server, Site, wait};

use crate::{NAME, Scene, told};

/// A nats-server; dropping it kills it.
struct Nats {
    child: Child,
    port: u16,
}

impl Nats {
    fn start(port: u16) -> Self {
        let program = ["/usr/sbin/nats-server", "/usr/bin/nats-server"]
            .into_iter()
            .find(|path| std::path::Path::new(path).exists());
        let program = program.expect("nats-server is installed (tests/run installs it)");
        let mut command = Command::new(program);
        command.args(["--addr", "127.0.0.1", "--port", &port.to_string()]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait::until("nats-server listens", || TcpStream::connect(("127.0.0.1", port)).ok());
        Self { child, port }
    }

    fn on_a_free_port() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self::start(port)
    }

    fn url(&self) -> String {
        format!("[\"nats://127.0.0.1:{}\"]", self.port)
    }

    fn kill(mut self) -> u16 {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.port
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A node that follows the scene's server.
fn follower(scene: &Scene, nats: &Nats) -> (Site, Server) {
    let site =
        Site::new().with("follow", "url", &format!("\"{}\"", scene.server.url)).with("nats", "urls", &nats.url());
    let server = site.start();
    (site, server)
}

fn metric(server: &Server, name: &str) -> u64 {
    let text = server.get("/metrics").text();
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok()).unwrap_or(0)
}

#[test]
fn a_client_at_one_node_reaches_a_host_at_another_whatever_dies() {
    let nats = Nats::on_a_free_port();
    let scene = Scene::at(Site::new().with("nats", "urls", &nats.url()));
    scene.write("a", b"from another node\n");
    let (_site, other) = follower(&scene, &nats);
    let size = metric(&scene.server, "dgns_log_size");
    wait::until("the follower is there", || (metric(&other, "dgns_log_size") >= size).then_some(()));

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
fn a_node_starts_and_serves_while_there_is_no_nats() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let scene = Scene::at(Site::new().with("nats", "urls", &format!("[\"nats://127.0.0.1:{port}\"]")));
    scene.write("a", b"a");
    let _host = scene.host(&["--allow", "bob"]);
    scene.connect(&[]).exits(0);
    let faulty = Site::new().with("nats", "urls", "[\"http://127.0.0.1\"]").start_in_vain();
    assert!(faulty.stderr.contains("nats.urls"), "{faulty}");
}
