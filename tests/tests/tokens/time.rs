//! What time does to a family: a server in this process, whose clock the test sets.

use dgns::clock::Clock;
use dgns::config::Config;
use dgns::server::Server;
use dgns::tokens::TokensRefusal;
use dgns_api::post::Post;
use dgns_tests::harness::load::{Somebody, origin};
use identity::key::SigningKey;
use identity::time::Timestamp;
use identity::token::{Lease, Pair, Refresh};
use zeroize::Zeroizing;

use super::asking::lease_of;

/// A server at a time of the test's, with somebody on it.
struct At {
    server: Server,
    clock: Clock,
    now_ms: u64,
    alice: Somebody,
    _data: tempfile::TempDir,
}

impl At {
    async fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let toml = format!(
            "data = {:?}\nhttp.listen = \"127.0.0.1:0\"\ndns.listen = []\nclaims.work_bits = 1\n",
            data.path().join("data").display().to_string()
        );
        let now_ms = dgns_client::clock::now().as_ms();
        let clock = Clock::fixed_for_tests(Timestamp::from_ms(now_ms));
        let server = Server::start(Config::from_toml(&toml).unwrap(), clock.clone()).await.unwrap();
        let (alice, certificates) = Somebody::new("alice", 1);
        let envelopes = certificates.iter().map(identity::cert::Certificate::encode).collect();
        let post = Post { envelopes, attachments: Vec::new() };
        let door = server.app.door().unwrap();
        door.submit(&server.app.core, None, &post, [127, 0, 0, 1].into()).await.unwrap();
        Self { server, clock, now_ms, alice, _data: data }
    }

    fn passes(&mut self, ms: u64) {
        self.now_ms += ms;
        self.clock.set_for_tests(Timestamp::from_ms(self.now_ms));
    }

    fn key(&self) -> &SigningKey {
        &self.alice.device.sign
    }

    async fn ask(&self, lease: &Lease) -> Result<Pair, TokensRefusal> {
        self.server.app.tokens.as_ref().unwrap().lease(&self.server.app.core, &lease.encode(), false).await
    }

    async fn lease(&self) -> Pair {
        let mut lease = lease_of(&self.alice);
        let Err(TokensRefusal::NonceWanted(nonce)) = self.ask(&lease).await else { panic!("a nonce") };
        lease.prove(nonce, &origin(), self.key());
        self.ask(&lease).await.unwrap()
    }

    async fn refresh(&self, pair: &Pair) -> Result<Pair, String> {
        let ask = Refresh::sign(pair.token.clone(), Zeroizing::new(*pair.guard), &origin(), self.key());
        let tokens = self.server.app.tokens.as_ref().unwrap();
        tokens.refresh(&self.server.app.core, &ask.encode()).await.map_err(|refusal| refusal.code().to_owned())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spent_guard_repeats_for_30_s_and_kills_from_then_on() {
    let mut at = At::new().await;
    let first = at.lease().await;
    at.passes(5_000);
    let second = at.refresh(&first).await.unwrap();
    at.passes(30_000);
    assert_eq!(at.refresh(&first).await.as_ref(), Ok(&second));
    at.passes(1);
    assert_eq!(at.refresh(&first).await, Err("guard_reused".into()));
    assert_eq!(at.refresh(&second).await, Err("token_revoked".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_family_idle_for_30_days_is_over_and_one_that_is_not_goes_on() {
    const DAY_MS: u64 = 86_400_000;
    let mut at = At::new().await;
    let (idle, mut used) = (at.lease().await, at.lease().await);
    for _ in 0..2 {
        at.passes(29 * DAY_MS);
        used = at.refresh(&used).await.unwrap();
    }
    assert_eq!(at.refresh(&idle).await, Err("token_revoked".into()));
    assert_eq!(at.refresh(&idle).await, Err("token_revoked".into()));
    at.refresh(&used).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nonce_is_worth_nothing_after_a_minute() {
    let mut at = At::new().await;
    for (wait_ms, taken) in [(60_000, true), (61_000, false)] {
        let mut lease = lease_of(&at.alice);
        let Err(TokensRefusal::NonceWanted(nonce)) = at.ask(&lease).await else { panic!("a nonce") };
        lease.prove(nonce, &origin(), at.key());
        at.passes(wait_ms);
        let asked = at.ask(&lease).await;
        assert_eq!(asked.is_ok(), taken, "{wait_ms}");
        assert!(taken || matches!(asked, Err(TokensRefusal::NonceWanted(_))));
    }
}
