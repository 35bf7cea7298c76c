//! What happens to connections and registrations that stand: devices revoked, sockets lost, servers killed.

use std::fs;
use std::io::Write as _;
use std::process::Command;

use dgns_tests::harness::running::Running;
use dgns_tests::harness::{Person, Server, Site, wait};
use lobby::message::{Frame, Welcome};

use crate::liar::Liar;
use crate::{NAME, Scene, text, told};

/// Lets a new home become a device of somebody by twelve words.
pub(crate) fn second_device(of: &Person, server: &Server) -> Person {
    let new = Person::new();
    let pair = of.dgns_running(&server.url, &["pair", "--words"]);
    let words = pair.note(|line| Some(line.trim().strip_prefix("dgns join ")?.to_owned()));
    let join: Vec<&str> = ["join"].into_iter().chain(words.split(' ')).collect();
    new.dgns(server, &join).exits(0);
    pair.ended().exits(0);
    new
}

pub(crate) fn kid_of(person: &Person, server: &Server) -> String {
    person.dgns(server, &["whoami"]).exits(0).text("/device/kid")
}

fn tails(person: &Person, scene: &Scene) -> Running {
    let tail = person.dgns_running(&scene.server.url, &["connect", NAME, "--tail", "logs/x"]);
    assert_eq!(tail.event()["line"], "first");
    tail
}

#[test]
fn a_device_that_is_revoked_is_cut_off_by_the_host() {
    let scene = Scene::new();
    scene.write("logs/x", b"first\n");
    let phone = second_device(&scene.bob, &scene.server);
    let host = scene.host(&["--allow", "bob"]);
    let (other, tail) = (tails(&scene.bob, &scene), tails(&phone, &scene));
    let kid = kid_of(&phone, &scene.server);
    scene.bob.dgns(&scene.server, &["devices", "revoke", &kid]).exits(0);
    let (ended, took) = wait::timed(|| tail.ended());
    eprintln!("from the revocation's answer to the end of the connection: {took:?}");
    assert_eq!(ended.exits(4).text("/code"), "revoked");
    assert_eq!(told(&host, "ended")["code"], "revoked");
    phone.dgns(&scene.server, &["connect", NAME]).exits(4);
    let mut log = fs::OpenOptions::new().append(true).open(scene.served().join("logs/x")).unwrap();
    log.write_all(b"second\n").unwrap();
    assert_eq!(other.event()["line"], "second", "nobody else notices");
}

#[test]
fn a_host_whose_device_is_revoked_ends_and_its_client_notices() {
    // Goal: both ends follow the log. Method: alice hosts on a second device, and revokes it while bob follows a file there.
    let scene = Scene::new();
    scene.write("logs/x", b"first\n");
    let box_at_home = second_device(&scene.alice, &scene.server);
    let served = scene.served();
    let arguments = ["host", "--name", "db.alice", text(&served), "--allow", "bob"];
    let host = box_at_home.dgns_running(&scene.server.url, &arguments);
    told(&host, "online");
    let tail = tails(&scene.bob, &scene);
    let kid = kid_of(&box_at_home, &scene.server);
    scene.alice.dgns(&scene.server, &["devices", "revoke", &kid]).exits(0);
    assert_eq!(host.ended().code, Some(4));
    let ended = tail.ended();
    assert!(matches!(ended.code, Some(3 | 4)), "{ended}");
    scene.connect(&[]).exits(2);
}

#[test]
fn two_histories_are_found_by_both_ends_and_nothing_is_served() {
    // Goal: a log that shows host and client two histories is convicted by both, each with evidence of their own. Method: from one point on
    // two servers with the same key go on differently; bob reads one, alice the other, and the lobby between them shows no head.
    let Scene { site, server, alice, bob, directory } = Scene::new();
    server.stop().exits(0);
    let fork = site.snapshot();
    let other_site = Site::new();
    fs::create_dir_all(other_site.data()).unwrap();
    other_site.restore(&fork, &[]);
    let (server, other) = (site.start(), other_site.start());
    Person::new().up(&server, "carol");
    Person::new().up(&other, "david");
    let liar = Liar::between(&other, &server);
    liar.tells(|_, frame| match frame {
        Frame::Welcome(welcome) => vec![Frame::Welcome(Welcome { head: None, ..welcome })],
        Frame::Hello { envelope, .. } => vec![Frame::Hello { envelope, token: None, head: None }],
        frame => vec![frame],
    });
    let scene = Scene { site, server, alice, bob, directory };
    scene.write("logs/x", b"first\n");
    let host = scene.host(&["--allow", "bob"]);
    let ran = scene.connect_at(&liar.url, &[]);
    assert_eq!(ran.exits(3).text("/code"), "fork", "{ran}");
    assert_eq!(told(&host, "fault")["code"], "fork");
    for person in [&scene.alice, &scene.bob] {
        let kept = person.evidence();
        let fault = kept.iter().find(|path| path.extension().is_some_and(|end| end == "fault")).expect("evidence");
        let judged = Person::new().dgns_at("http://127.0.0.1:1", &["verify", text(fault)], "");
        judged.exits(3);
    }
    assert!(!ran.stdout.contains("logs/x"));
}

/// Breaks every path to the UDP ports that a process holds now, until it is dropped; ports that it opens later are not touched.
struct Broken(Vec<[String; 7]>);

impl Broken {
    /// `None` for whoever is not root: on CI that fails.
    fn of(pid: u32) -> Option<Self> {
        let sockets = Command::new("ss").arg("-Huanp").output().expect("ss is installed");
        let sockets = String::from_utf8(sockets.stdout).expect("text");
        let of_pid = sockets.lines().filter(|line| line.contains(&format!("pid={pid},")));
        let ports = of_pid.filter_map(|line| line.split_whitespace().nth(3)?.rsplit(':').next());
        let rule = |end: &str, port: &str| ["INPUT", "-p", "udp", end, port, "-j", "DROP"].map(str::to_owned);
        let rules: Vec<_> = ports.flat_map(|port| ["--sport", "--dport"].map(|end| rule(end, port))).collect();
        assert!(!rules.is_empty(), "{sockets}");
        let broken = Self(rules);
        broken.all("-I").then_some(broken)
    }

    fn all(&self, how: &str) -> bool {
        let run = |tables: &str, rule: &[String; 7]| Command::new(tables).arg(how).args(rule).status();
        let done = |tables: &str| self.0.iter().all(|rule| run(tables, rule).is_ok_and(|done| done.success()));
        ["iptables", "ip6tables"].into_iter().all(done)
    }
}

impl Drop for Broken {
    fn drop(&mut self) {
        self.all("-D");
    }
}

#[test]
fn a_path_that_breaks_is_renewed_and_nothing_is_lost() {
    // Goal: the connection outlives its path. Method: every packet from or to the host's sockets is dropped while bob follows a file;
    // both ends find other sockets through the lobby.
    let scene = Scene::new();
    scene.write("logs/x", b"first\n");
    let host = scene.host(&["--allow", "bob"]);
    let tail = tails(&scene.bob, &scene);
    let Some(_broken) = Broken::of(host.pid()) else {
        assert!(std::env::var_os("CI").is_none(), "paths cannot be broken here");
        return eprintln!("skipped: not root, so no path can be broken");
    };
    let mut log = fs::OpenOptions::new().append(true).open(scene.served().join("logs/x")).unwrap();
    log.write_all(b"second\n").unwrap();
    assert_eq!(tail.event()["line"], "second");
    told(&host, "connected");
    let ran = host.interrupt();
    assert_eq!(ran.stdout.lines().filter(|line| line.contains("\"knock\"")).count(), 0, "one connection: {ran}");
}

#[test]
fn a_server_that_is_killed_or_restarted_is_come_back_to_and_connections_do_not_notice() {
    let scene = Scene::new();
    scene.write("logs/x", b"first\n");
    let host = scene.host(&["--allow", "bob"]);
    let tail = tails(&scene.bob, &scene);
    let Scene { site, mut server, .. } = scene;
    let served = scene.directory.path().join("served");
    let site = site.with("http", "listen", &format!("\"{}\"", server.http));
    let mut log = fs::OpenOptions::new().append(true).open(served.join("logs/x")).unwrap();
    let mut goes_on = |line: &str| {
        log.write_all(format!("{line}\n").as_bytes()).unwrap();
        assert_eq!(tail.event()["line"], line, "the connection needs no server");
    };
    for (meanwhile, after, killed) in [("second", "third", true), ("fourth", "fifth", false)] {
        match killed {
            true => server.kill(),
            false => drop(server.stop().exits(0)),
        }
        goes_on(meanwhile);
        told(&host, "away");
        server = site.start();
        told(&host, "online");
        goes_on(after);
        scene.bob.dgns(&server, &["connect", NAME]).exits(0);
    }
}
