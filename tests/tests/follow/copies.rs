//! Mirrors and exports: files that any file server can serve, checked by the stock audit.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use dgns_tests::harness::{Person, Server, Site, wait};

/// A plain file server over a directory, until the test's process ends. Returns its URL.
fn file_server(directory: &Path) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let directory = directory.to_owned();
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let directory = directory.clone();
            std::thread::spawn(move || {
                let mut request = Vec::new();
                let mut chunk = [0; 4_096];
                while !request.windows(4).any(|window| window == b"\r\n\r\n") {
                    match client.read(&mut chunk) {
                        Ok(read) if read > 0 => request.extend_from_slice(&chunk[..read]),
                        _ => return,
                    }
                }
                let text = String::from_utf8_lossy(&request).into_owned();
                let path = text.split(' ').nth(1).unwrap_or("/").trim_start_matches('/');
                let found = std::fs::read(directory.join(path));
                let status = if found.is_ok() { "200 OK" } else { "404 Not Found" };
                let body = found.unwrap_or_default();
                let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                let _ = client.write_all(&[head.as_bytes(), &body].concat());
            });
        }
    });
    url
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}

#[test]
fn a_mirror_behind_a_file_server_audits_clean_and_goes_on() {
    // Goal: files alone satisfy the stock audit; a mirror takes only what is new; damage is named. Method: mirror, audit the copy,
    // grow the log, mirror again, damage a file.
    let server_site = Site::new();
    let server = server_site.start();
    let alice = Person::new();
    alice.up(&server, "alice");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().display().to_string();
    let person = Person::new();
    let first = person.dgns(&server, &["mirror", &server.url, &path]);
    let size = first.exits(0).number("/size");
    let url = file_server(directory.path());
    let audit = |vkey: &str| Person::new().dgns_at(&url, &["audit", "--vkey", vkey], "");
    assert_eq!(audit(server.vkey()).exits(0).number("/size"), size);

    for last in 0..40 {
        alice.dgns(&server, &["records", "set", "alice", "A", &format!("192.0.2.{last}")]).exits(0);
    }
    Person::new().up(&server, "bobby");
    let second = person.dgns(&server, &["mirror", &server.url, &path]);
    assert!(second.exits(0).number("/size") > size);
    assert_eq!(audit(server.vkey()).exits(0).number("/size"), second.number("/size"));
    let again = person.dgns(&server, &["mirror", &server.url, &path]);
    assert_eq!(again.exits(0).number("/files"), 1, "the checkpoint alone: {again}");

    let bundle = files(directory.path()).into_iter().find(|path| path.to_str().unwrap().contains("entries")).unwrap();
    let largest = files(bundle.parent().unwrap()).into_iter().max_by_key(|path| std::fs::metadata(path).unwrap().len());
    let largest = largest.unwrap();
    let mut bytes = std::fs::read(&largest).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&largest, bytes).unwrap();
    let damaged = person.dgns(&server, &["mirror", &server.url, &path]);
    assert!(damaged.exits(1).stderr.contains("damaged") || damaged.stdout.contains("damaged"), "{damaged}");
}

#[test]
fn a_mirror_of_another_history_is_evidence() {
    // Goal: a mirror never overwrites what it proved. Method: two servers of one zone; the second's key pinned for the first's copy.
    let server_site = Site::new();
    let server = server_site.start();
    Person::new().up(&server, "alice");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().display().to_string();
    let person = Person::new();
    person.dgns(&server, &["mirror", &server.url, &path]).exits(0);
    let other_site = Site::new();
    let other = other_site.start();
    let before = std::fs::read(directory.path().join("log/checkpoint")).unwrap();
    Person::new().dgns(&other, &["mirror", &other.url, &path]).exits(3);
    assert_eq!(std::fs::read(directory.path().join("log/checkpoint")).unwrap(), before);
}

#[test]
fn an_export_behind_a_file_server_audits_clean() {
    // Goal: a data directory becomes files without a server. Method: stop, export, audit; grow, export into the same directory.
    let site = Site::new();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().display().to_string();
    let url = file_server(directory.path());
    for name in ["alice", "bobby"] {
        let server = site.start();
        Person::new().up(&server, name);
        let vkey = server.vkey().to_owned();
        let size = server.get("/v1/info").json()["size"].as_u64().unwrap();
        server.stop().exits(0);
        site.dgnsd(&["export", &path]).exits(0);
        let audited = Person::new().dgns_at(&url, &["audit", "--vkey", &vkey], "");
        assert_eq!(audited.exits(0).number("/size"), size);
    }
}

#[test]
fn the_directory_of_files_keeps_up_with_the_server_and_outlives_it() {
    // Goal: files alone are the stock read path, while the server writes and after it died. Method: audit the directory behind a plain
    // file server; grow the log beyond a full tile, kill the server, audit again; a directory that was erased is written anew.
    let directory = tempfile::tempdir().unwrap();
    let files = directory.path().join("files");
    let url = file_server(&files);
    let site = Site::new().with("log", "files", &format!("{:?}", files.display().to_string()));
    let server = site.start();
    let alice = Person::new();
    alice.up(&server, "alice");
    let vkey = server.vkey().to_owned();
    let size = |server: &Server| server.get("/v1/info").json()["size"].as_u64().unwrap();
    let audited = |at_least: u64| {
        wait::until("the files have the newest head", || {
            let note = std::fs::read_to_string(files.join("log/checkpoint")).ok()?;
            (note.lines().nth(1)?.parse::<u64>().ok()? >= at_least).then_some(())
        });
        let audited = Person::new().dgns_at(&url, &["audit", "--vkey", &vkey], "");
        assert!(audited.exits(0).number("/size") >= at_least, "{audited}");
    };
    audited(size(&server));
    for last in 0..130 {
        alice.dgns(&server, &["records", "set", "alice", "A", &format!("192.0.2.{last}")]).exits(0);
    }
    let full = size(&server);
    assert!(full > 256);
    audited(full);
    server.kill();
    audited(full);

    std::fs::remove_dir_all(&files).unwrap();
    let server = site.start();
    audited(full);
    server.stop().exits(0);
}
