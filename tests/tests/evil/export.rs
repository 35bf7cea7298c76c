//! A log as files, and a server that serves nothing else.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};

use dgns_tests::harness::http::Answer;
use dgns_tests::harness::serve::{Told, serve};
use dgns_tests::harness::{Person, Ran, Server};
use translog::note::{Checkpoint, Note};
use translog::tile::{BundleId, TileId, bundles_for, tiles_for};

/// Everything below the log's read prefix: path to bytes.
#[derive(Clone, Debug)]
pub struct Export {
    pub files: BTreeMap<String, Vec<u8>>,
    pub vkey: String,
}

impl Export {
    /// Copies what a server serves at its newest checkpoint, over HTTP, as a mirror would.
    pub fn of(server: &Server) -> Self {
        let get = |path: &str| {
            let answer = server.get(&format!("/log/{path}"));
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            (path.to_owned(), answer.body)
        };
        let checkpoint = get("checkpoint");
        let size = size_of(&checkpoint.1);
        let mut files = BTreeMap::from([checkpoint]);
        files.extend(bundles_for(0, size).map(|id| get(&id.to_string())));
        files.extend(tiles_for(0, size).map(|id| get(&id.to_string())));
        let export = Self { files, vkey: server.vkey().to_owned() };
        let epochs = export.epochs().len() as u64;
        let history: Vec<_> = tiles_for(0, epochs).map(|id| get(&format!("history/{id}"))).collect();
        Self { files: export.files.into_iter().chain(history).collect(), vkey: export.vkey }
    }

    /// Returns the size of the checkpoint.
    pub fn size(&self) -> u64 {
        size_of(&self.files["checkpoint"])
    }

    /// Returns every entry.
    pub fn entries(&self) -> Vec<Vec<u8>> {
        let bundles = bundles_for(0, self.size()).map(|id| (id, &self.files[&id.to_string()]));
        bundles
            .flat_map(|(id, bytes)| translog::bundle::decode(id, bytes).unwrap().into_iter().map(<[u8]>::to_vec))
            .collect()
    }

    /// Returns the log indexes of the Epochs.
    pub fn epochs(&self) -> Vec<u64> {
        (0..).zip(self.entries()).filter(|(_, entry)| entry[0] == 2).map(|(index, _)| index).collect()
    }

    /// Returns the same files with an entry replaced, and nothing else.
    #[must_use]
    pub fn with_entry(mut self, index: u64, change: impl FnOnce(&mut Vec<u8>)) -> Self {
        let id = BundleId::of_entry(index, self.size()).unwrap();
        let mut entries = self.entries()[id.first_entry() as usize..][..usize::from(id.width())].to_vec();
        change(&mut entries[(index % 256) as usize]);
        self.put_bundle(id, &entries);
        self
    }

    /// Returns the same files with the hash of an entry, as it is now, in its tile.
    #[must_use]
    pub fn with_leaf_of(mut self, index: u64) -> Self {
        let hash = translog::hash::leaf_hash(&self.entries()[index as usize]);
        let tile = BundleId::of_entry(index, self.size()).unwrap().tile().to_string();
        let at = (index % 256) as usize * 32;
        self.files.get_mut(&tile).unwrap()[at..at + 32].copy_from_slice(&hash);
        self
    }

    /// Returns the same files with one bit of one file flipped.
    #[must_use]
    pub fn with_bit(mut self, path: &str, at: usize) -> Self {
        self.files.get_mut(path).unwrap_or_else(|| panic!("there is no {path}"))[at] ^= 1;
        self
    }

    /// Writes a bundle.
    pub fn put_bundle(&mut self, id: BundleId, entries: &[Vec<u8>]) {
        self.files.insert(id.to_string(), translog::bundle::encode(entries.iter().map(Vec::as_slice)));
    }

    /// Returns the path of the partial tile of a level of the log.
    pub fn partial(&self, level: u8) -> TileId {
        tiles_for(0, self.size()).find(|id| id.level() == level && !id.is_full()).expect("a partial tile")
    }
}

fn size_of(checkpoint: &[u8]) -> u64 {
    Checkpoint::parse(Note::parse(checkpoint).unwrap().text()).unwrap().size
}

/// A server of files until the test's process ends.
pub struct FileServer {
    pub url: String,
    state: Arc<Mutex<FileState>>,
}

#[derive(Default)]
struct FileState {
    files: BTreeMap<String, Vec<u8>>,
    asked: usize,
    hung: Option<String>,
    once: Option<(String, Vec<u8>)>,
}

impl FileServer {
    /// Serves an export below `/log`, as any server of files would.
    pub fn new(export: &Export) -> Self {
        let state = Arc::new(Mutex::new(FileState { files: export.files.clone(), ..FileState::default() }));
        let shared = state.clone();
        let url = serve(move |request| shared.lock().unwrap().answer(request.path()));
        Self { url, state }
    }

    /// Serves other files from now on.
    pub fn now_serves(&self, export: &Export) {
        self.state.lock().unwrap().files = export.files.clone();
    }

    /// Answers the next request for this path with other bytes, and all after it as before.
    pub fn answers_once(&self, path: &str, bytes: &[u8]) {
        self.state.lock().unwrap().once = Some((path.to_owned(), bytes.to_vec()));
    }

    /// Never answers requests for this path, from now on; `None` answers all.
    pub fn never_answers(&self, path: Option<&str>) {
        self.state.lock().unwrap().hung = path.map(str::to_owned);
    }

    /// Returns how many requests came.
    pub fn asked(&self) -> usize {
        self.state.lock().unwrap().asked
    }
}

impl FileState {
    fn answer(&mut self, path: &str) -> Told {
        self.asked += 1;
        let path = path.strip_prefix("/log/").unwrap_or_default();
        if self.hung.as_deref() == Some(path) {
            return Told::Never;
        }
        let told = self.once.take_if(|(of, _)| of == path).map(|(_, bytes)| bytes);
        let body = told.or_else(|| self.files.get(path).cloned());
        let status = if body.is_some() { 200 } else { 404 };
        Told::Answer(Answer { status, headers: Vec::new(), body: body.unwrap_or_default() })
    }
}

/// Audits an export with the real program, from a home of its own.
pub fn audit(export: &Export, level: &str) -> (Ran, Person) {
    let person = Person::new();
    let server = FileServer::new(export);
    let ran = person.dgns_at(&server.url, &["audit", "--vkey", &export.vkey, "--level", level], "");
    (ran, person)
}

/// Audits an export that must be found at fault. Returns what was said; the evidence must be kept, and be readable.
pub fn convicted(export: &Export, level: &str, code: &str, place: &str) {
    let (ran, person) = audit(export, level);
    ran.exits(3);
    assert_eq!(ran.text("/code"), code, "{ran}");
    let said = ran.text("/error");
    assert!(said.contains(place), "{place:?} is not named: {said}");
    let evidence = person.evidence();
    assert_eq!(evidence.len(), 1, "{ran}");
    assert_eq!(ran.text("/evidence"), evidence[0].display().to_string());
    let file = translog::fault::FaultFile::decode(&std::fs::read(&evidence[0]).unwrap()).unwrap();
    assert!(said.contains(std::str::from_utf8(file.part("fault").unwrap()).unwrap()), "{said}");
}

/// Audits an export that must be clean; returns the report.
pub fn clean(export: &Export, level: &str) -> serde_json::Value {
    let (ran, person) = audit(export, level);
    ran.exits(0);
    assert!(person.evidence().is_empty());
    ran.json()
}

/// Returns `count` places out of `0..end`, evenly spread, first and last among them.
pub fn spread(count: usize, end: usize) -> impl Iterator<Item = usize> {
    let places: HashSet<usize> = (0..count).map(|n| n * (end - 1) / (count - 1).max(1)).collect();
    let mut places: Vec<usize> = places.into_iter().collect();
    places.sort_unstable();
    places.into_iter()
}
