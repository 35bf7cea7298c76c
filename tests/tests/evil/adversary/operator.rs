//! The operator's server: the whole read side of a forged log, as a stock server answers it, but for what its operator lies about.

use std::sync::{Arc, Mutex};

use dgns_api::info::{Info, Limits, Public};
use dgns_api::path;
use dgns_api::problem::Problem;
use dgns_tests::harness::http::Answer;
use dgns_tests::harness::serve::{Told, serve};
use identity::did::Did;
use identity::state::Subject;
use translog::head::{Cosignature, Head};
use translog::note::Note;
use translog::tile::ResourceId;

use super::super::export::Export;
use super::super::forge::{Forge, Query};
use super::super::people::{ZONE, origin};

/// What the operator does to an answer: given the path asked, and the answer that fits the view.
pub type Lie = Arc<dyn Fn(&str, Answer) -> Told + Send + Sync>;

/// A log as it is shown to somebody.
#[derive(Clone)]
pub struct View {
    pub forge: Forge,
    pub export: Export,
    pub head: Head,
    lie: Option<Lie>,
}

impl View {
    /// Returns the newest head of a log and all below it.
    pub fn of(forge: &Forge) -> Self {
        Self { forge: forge.clone(), export: forge.export(), head: forge.head(), lie: None }
    }

    /// Adds the answer of a witness to the checkpoint, and what it says to the head, whether they belong to it or not.
    #[must_use]
    pub fn with_cosignature(mut self, line: &[u8], cosignature: Cosignature) -> Self {
        let checkpoint = self.export.files.get_mut("checkpoint").expect("an export has one");
        checkpoint.extend_from_slice(line);
        Note::parse(checkpoint).expect("another line makes another note");
        self.head.cosignatures.push(cosignature);
        self
    }

    /// Returns the same view through a liar.
    #[must_use]
    pub fn through(mut self, lie: impl Fn(&str, Answer) -> Told + Send + Sync + 'static) -> Self {
        self.lie = Some(Arc::new(lie));
        self
    }

    fn told(&self, asked: &str) -> Told {
        let answer = self.answer(asked);
        match &self.lie {
            Some(lie) => lie(asked, answer),
            None => Told::Answer(answer),
        }
    }

    fn answer(&self, asked: &str) -> Answer {
        let (at, query) = asked.split_once('?').unwrap_or((asked, ""));
        let subject = |text: &str| match text.strip_prefix(path::DIDS) {
            Some(did) => Subject::Did(did.parse::<Did>().expect("a client asks for a DID")),
            None => Subject::Name(text.trim_start_matches(path::NAMES).to_owned()),
        };
        if at.ends_with(path::EVENTS) {
            return problem("not_found", 404, None);
        }
        match at {
            path::INFO => ok(serde_json::to_vec(&self.info()).expect("info is plain data")),
            path::PROOF => self.proof(query),
            path::LOGCONF_CHAIN => ok(self.forge.conf_chain(&self.head, number(query, "from"))),
            _ if at.starts_with(path::ENTRIES) => {
                let index: usize = at[path::ENTRIES.len()..].parse().expect("an index");
                self.forge.entries.get(index).map_or(problem("not_found", 404, None), |entry| ok(entry.clone()))
            }
            _ if at.starts_with(path::NAMES) => self.lookup(&subject(at), query),
            _ if at.starts_with(path::DIDS) => match at.strip_suffix("/chain") {
                Some(did) => {
                    let query = Query { chain_from: Some(number(query, "from").unwrap_or(0)), ..Query::default() };
                    ok(self.forge.resolution(&self.head, &subject(did), query).encode())
                }
                None => self.lookup(&subject(at), query),
            },
            _ => {
                let file = at.strip_prefix("/log/").and_then(|path| self.file(path));
                file.map_or(problem("not_found", 404, None), ok)
            }
        }
    }

    fn lookup(&self, subject: &Subject, query: &str) -> Answer {
        let from = number(query, "from");
        if from.is_some_and(|from| from > self.head.size) {
            let checkpoint = String::from_utf8(self.export.files["checkpoint"].clone()).expect("a note is text");
            return problem("unknown_head", 409, Some(checkpoint));
        }
        let known = field(query, "known").map(|known| known.parse().expect("a client says what it knows"));
        ok(self.forge.resolution(&self.head, subject, Query { from, known, ..Query::default() }).encode())
    }

    fn proof(&self, query: &str) -> Answer {
        let size = self.head.size;
        let path = match (number(query, "index"), number(query, "from")) {
            (Some(index), _) => self.forge.inclusion(index, number(query, "size").unwrap_or(size)),
            (_, Some(from)) if from <= size => self.forge.consistency(from),
            _ => return problem("bad_query", 400, None),
        };
        ok(path.concat())
    }

    /// A file of the log; the partial tiles and bundles of earlier sizes too.
    fn file(&self, path: &str) -> Option<Vec<u8>> {
        let files = &self.export.files;
        if let Some(bytes) = files.get(path) {
            return Some(bytes.clone());
        }
        if let Ok(ResourceId::Bundle(id)) = ResourceId::parse(path) {
            let first = id.first_entry() as usize;
            let entries = self.forge.entries.get(first..first + usize::from(id.width()))?;
            return Some(translog::bundle::encode(entries.iter().map(Vec::as_slice)));
        }
        let (base, width) = path.split_once(".p/")?;
        let wider = files.iter().find(|(known, _)| *known == base || known.starts_with(&format!("{base}.p/")));
        wider?.1.get(..width.parse::<usize>().ok()? * 32).map(<[u8]>::to_vec)
    }

    fn info(&self) -> Info {
        Info {
            software: "dgnsd".into(),
            origin: origin().as_str().into(),
            zone: ZONE.into(),
            vkey: self.export.vkey.clone(),
            server_did: self.forge.server().to_string(),
            roads: vec!["open".into()],
            signin: Default::default(),
            work_bits: 1,
            window_floor_s: 1,
            quorum: "none".into(),
            size: self.head.size,
            epoch_ms: self.forge.time_ms,
            head_age_ms: 0,
            public: Public::default(),
            dns: Vec::new(),
            ds: Vec::new(),
            follows: None,
            web: None,
            lobby: None,
            limits: Limits { certificates_per_post: 64, certificate_bytes: 4_096, post_bytes: 1 << 20 },
        }
    }
}

/// A server whose operator decides what it shows; it answers until the test's process ends.
pub struct Operator {
    pub url: String,
    shown: Arc<Mutex<Arc<View>>>,
}

impl Operator {
    /// Serves a view of the log.
    pub fn new(view: View) -> Self {
        let shown = Arc::new(Mutex::new(Arc::new(view)));
        let shared = shown.clone();
        let url = serve(move |request| {
            let view = shared.lock().unwrap().clone();
            view.told(request.path())
        });
        Self { url, shown }
    }

    /// Shows another view to whoever asks from now on.
    pub fn shows(&self, view: View) {
        *self.shown.lock().unwrap() = Arc::new(view);
    }
}

fn ok(body: Vec<u8>) -> Answer {
    Answer { status: 200, headers: Vec::new(), body }
}

/// An answer that says no.
pub fn problem(code: &str, status: u16, checkpoint: Option<String>) -> Answer {
    let problem = Problem { checkpoint, ..Problem::new(status, code, "no") };
    let headers = vec![("content-type".to_owned(), path::PROBLEM_JSON.to_owned())];
    Answer { status, headers, body: serde_json::to_vec(&problem).expect("a problem is plain data") }
}

fn field<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

fn number(query: &str, name: &str) -> Option<u64> {
    field(query, name).map(|value| value.parse().expect("a client asks with numbers"))
}
