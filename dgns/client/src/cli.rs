//! The command line of `dgns`.
//!
//! Exit codes: 0 ok, 1 could not run, 2 network, 3 proof or log fault, 4 refused by the rules, 5 accepted but waits, 6 proved
//! absent, 7 answered but not proved.

mod account;
mod acme;
mod actor;
mod acts;
mod alias;
mod arguments;
mod attested;
mod audit;
mod bench;
mod chunk;
mod connect;
mod db;
mod delegate;
mod devices;
mod dns_key;
mod find;
mod home_node;
mod host;
mod login;
mod lookup;
mod mail;
mod mirror;
mod monitor;
mod notaries;
mod notify;
mod output;
mod pair;
mod progress;
mod records;
mod recover;
mod recovery;
mod render;
mod seal;
mod signins;
mod token;
mod trust;
mod unseen;
mod up;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use dgns_client::error::ClientError;
use dgns_client::home::{Home, read_policy};
use dgns_client::session::Session;
use identity::name::Name;
use translog::policy::Policy;

use output::Output;

/// Where a server listens unless told otherwise.
const DEFAULT_SERVER: &str = "http://127.0.0.1:5380";

/// The command ended well: what it was asked is done, or accepted but waits.
type Done = Result<Ended, ClientError>;

/// How a command ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Exit 0.
    Ok,
    /// Exit 5: accepted, takes effect when its window is over.
    Waits,
    /// Exit 6: what was asked for is proved absent, and that was printed.
    Absent,
    /// Exit 7: nobody proved a part of what was asked for, and that was printed.
    Unproved,
}

/// Names that you can prove: claim, enrol devices, set records, resolve, audit.
#[derive(Debug, Parser)]
#[command(name = "dgns", version, about, after_help = EXIT_CODES)]
struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 ok, 1 could not run, 2 network, 3 PROOF OR LOG FAULT, 4 refused by the rules, \
5 accepted but waits, 6 proved absent or deleted, 7 answered but not proved";

/// Options of every command.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Common {
    /// The server
    #[arg(long, global = true, value_name = "URL", env = "DGNS_SERVER", default_value = DEFAULT_SERVER)]
    pub(crate) server: String,
    /// Keys, pinned logs and remembered heads
    #[arg(long, global = true, value_name = "DIR", env = "DGNS_HOME", default_value = "~/.dgns")]
    pub(crate) home: String,
    /// Believe logs under this C2SP trust policy: its log keys, witnesses and quorum, instead of those kept in the home
    #[arg(long, global = true, value_name = "FILE", env = "DGNS_POLICY")]
    pub(crate) policy: Option<PathBuf>,
    /// Print one JSON value instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// Who signs an act.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct WithWords {
    /// Sign with the words, read from standard input: the identity key is above every device
    #[arg(long)]
    pub(crate) words: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make keys and words if there are none, and claim a name: all in one
    Up(up::Up),
    /// Claim a further name, or one below a name you own; for yourself, or for a database or server
    Claim(up::ClaimName),
    /// Show this device, its DID and its names, proved
    Whoami,
    /// Work with the words
    Words {
        #[command(subcommand)]
        command: devices::Words,
    },
    /// List, add, approve, suspend or revoke devices
    Devices {
        #[command(subcommand)]
        command: devices::Devices,
    },
    /// Sign in at an issuer, or with a passkey: finds your account and asks one of its devices to let this one in, or lets it lead to this one
    Login(login::Login),
    /// List or take away the accounts at issuers and the passkeys that find this account
    Signins {
        #[command(subcommand)]
        command: signins::SignIns,
    },
    /// Make this home a device of NAME, or of whoever showed the secret of `dgns pair`
    Join(pair::Join),
    /// Show a QR code or words with which a new device joins, without digits
    Pair(pair::Pair),
    /// Seal a file to a person: each of the person's devices can open it, nobody else
    Seal(seal::Seal),
    /// Open a file that was sealed to you
    Open(seal::Open),
    /// Write a letter to a person: sealed to each of the person's devices, read by nobody else
    Send(mail::Send),
    /// List, open or delete the letters that came to this device
    Inbox(mail::Inbox),
    /// Make databases, append to them and read them: sealed by you, kept by the server, checked by you
    Db {
        #[command(subcommand)]
        command: db::Db,
    },
    /// What you may store at the server, and until when
    Account {
        #[command(subcommand)]
        command: account::Account,
    },
    /// Store and fetch files, sealed, by their hashes
    Chunk {
        #[command(subcommand)]
        command: chunk::Chunk,
    },
    /// Put the records of a database together for who comes late, and begin with what was put together
    Snapshot {
        #[command(subcommand)]
        command: db::snapshot::Snapshot,
    },
    /// Set, remove or list the records of a name
    Records {
        #[command(subcommand)]
        command: records::Records,
    },
    /// Write this device's key as files for `nsupdate -k`: it changes addresses and ACME challenges of NAME without a certificate
    DnsKey(dns_key::DnsKey),
    /// Let another server answer for a name of yours and all below it
    Delegate(delegate::Delegate),
    /// Make an account by which stock ACME clients, such as lego, get TLS certificates for a name
    Acme {
        #[command(subcommand)]
        command: acme::Acme,
    },
    /// Serve a directory under a name of yours to whom you let in, from behind whatever router
    Host(host::HostName),
    /// Talk to the private server of a name: list, fetch or follow what it serves
    Connect(connect::Connect),
    /// Be told when a file of a private server grows, here or through a push service
    Notify {
        #[command(subcommand)]
        command: notify::Notify,
    },
    /// Look a name or DID up and prove the answer
    Resolve(lookup::Resolve),
    /// Who brings this account back if every device is lost: choose servers and a PIN, see how it stands
    Recovery {
        #[command(subcommand)]
        command: recovery::Recovery,
    },
    /// Every device is lost: come back with the PIN, a sign-in, and enough recovery servers
    Recover(recover::Recover),
    /// Be found by your e-mail addresses, or not
    Alias {
        #[command(subcommand)]
        command: alias::Alias,
    },
    /// Find a person by an e-mail address that nobody is told
    Find(find::Find),
    /// List who says in this log whom an issuer let in, and what owners made of it
    Notaries,
    /// Write an offline proof of a name or DID
    Prove(lookup::Prove),
    /// Verify an offline proof with the pinned key, or a fault file
    Verify(lookup::Verify),
    /// Meet logs, show and confirm what is believed of them
    Trust {
        #[command(subcommand)]
        command: trust::TrustCommand,
    },
    /// Verify the whole log: every hash, map root, rule and signature
    Audit(audit::Audit),
    /// Copy the log's files while verifying them, for any file server to serve
    Mirror(mirror::Mirror),
    /// Watch names: what changed, and whose keys signed it
    Monitor(monitor::Monitor),
    /// Lease, list, refresh, revoke, exchange or check tokens
    Token {
        #[command(subcommand)]
        command: token::TokenCommand,
    },
    /// Grant somebody rights on what is yours, or was granted to you
    Grant(token::GrantTo),
    /// List the grants to you and by you
    Grants,
    /// List the acts that wait
    Pending,
    /// Support a waiting act, or approve the recovery that is pending
    Confirm {
        /// The act: its sid, or the first digits of it; left out, the recovery
        act: Option<String>,
        #[command(flatten)]
        words: WithWords,
    },
    /// Oppose a waiting act, or end the recovery that somebody tries
    Veto {
        /// The act: its sid, or the first digits of it; left out, the recovery
        act: Option<String>,
        #[command(flatten)]
        words: WithWords,
    },
    /// Set the window that destructive acts wait
    Policy {
        /// Seconds
        #[arg(long, value_name = "S")]
        window_s: u64,
        #[command(flatten)]
        words: WithWords,
    },
    /// Give a name to another DID, which must accept it
    Transfer(acts::Transfer),
    /// Give a name up; it is held for 90 days
    Release {
        /// The name
        name: String,
        #[command(flatten)]
        words: WithWords,
    },
    /// Take new words; the old ones lose their power
    Rotate {
        #[command(flatten)]
        words: WithWords,
    },
    /// End this DID for ever
    Tombstone {
        /// Do it
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        words: WithWords,
    },
    /// Measure a server on loopback
    Bench {
        #[command(subcommand)]
        command: bench::Bench,
    },
    /// Print shell completions
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// What every command has in hand.
pub(crate) struct Context {
    pub(crate) common: Common,
    pub(crate) home: Home,
    pub(crate) out: Output,
}

impl Context {
    /// Opens the session with the server, saying when its log is met for the first time.
    pub(crate) async fn session(&self) -> Result<Session, ClientError> {
        self.session_at(&self.common.server).await
    }

    /// As [`Context::session`], with another server.
    pub(crate) async fn session_at(&self, server: &str) -> Result<Session, ClientError> {
        self.session_in(&self.home, server).await
    }

    /// Returns where the keys of a database or server lie that was made here.
    pub(crate) fn held(&self, name: &Name) -> PathBuf {
        self.home.directory().join("held").join(name.as_str())
    }

    /// Returns the policy that was given with `--policy`.
    pub(crate) fn own_policy(&self) -> Result<Option<Policy>, ClientError> {
        self.common.policy.as_deref().map(read_policy).transpose()
    }

    /// Opens the session with the log that a name or DID is of, asking nobody.
    pub(crate) fn session_unasked(&self, text: &str) -> Result<Session, ClientError> {
        let policy = self.own_policy()?;
        Session::open_unasked(&self.home, &self.common.server, policy.as_ref(), text)
    }

    /// As [`Context::session_at`], with another home.
    pub(crate) async fn session_in(&self, home: &Home, server: &str) -> Result<Session, ClientError> {
        let policy = self.own_policy()?;
        let session = Session::open_under(home, server, policy.as_ref()).await?;
        if session.is_first_use() {
            let pinned = trust::pinned_text(session.log(), &session.log().pinned()?);
            self.out.note(&format!(
                "first contact with {server}; from now on this is believed of its log
{pinned}\n"
            ));
        }
        Ok(session)
    }
}

/// Runs the command line.
pub(crate) fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(said) => {
            let _ = said.print();
            return ExitCode::from(u8::from(said.use_stderr()));
        }
    };
    if let Command::Completions { shell } = arguments.command {
        clap_complete::generate(shell, &mut Arguments::command(), "dgns", &mut std::io::stdout());
        return ExitCode::SUCCESS;
    }
    let out = Output::new(arguments.common.json);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("a runtime needs threads and epoll");
    let ended = match open_home(&arguments.common.home) {
        Err(error) => Err(error),
        Ok(home) => {
            let context = Context { common: arguments.common, home, out };
            runtime.block_on(dispatch(&context, arguments.command))
        }
    };
    match ended {
        Ok(Ended::Ok) => ExitCode::SUCCESS,
        Ok(Ended::Waits) => ExitCode::from(5),
        Ok(Ended::Absent) => ExitCode::from(6),
        Ok(Ended::Unproved) => ExitCode::from(7),
        Err(error) => {
            out.error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

async fn dispatch(context: &Context, command: Command) -> Done {
    match command {
        Command::Up(up) => up::up(context, up).await,
        Command::Claim(claim) => up::claim(context, claim).await,
        Command::Whoami => lookup::whoami(context).await,
        Command::Words { command } => devices::words(context, command).await,
        Command::Devices { command } => devices::devices(context, command).await,
        Command::Login(login) => login::login(context, login).await,
        Command::Signins { command } => signins::signins(context, command).await,
        Command::Join(join) => pair::join(context, join).await,
        Command::Pair(arguments) => pair::pair(context, arguments).await,
        Command::Seal(arguments) => seal::seal(context, arguments).await,
        Command::Open(arguments) => seal::open(context, arguments).await,
        Command::Send(send) => mail::send(context, send).await,
        Command::Inbox(inbox) => mail::inbox(context, inbox).await,
        Command::Db { command } => db::db(context, command).await,
        Command::Account { command } => account::account(context, command).await,
        Command::Chunk { command } => chunk::chunk(context, command).await,
        Command::Snapshot { command } => db::snapshot::snapshot(context, command).await,
        Command::Delegate(arguments) => delegate::delegate(context, arguments).await,
        Command::DnsKey(arguments) => dns_key::dns_key(context, arguments).await,
        Command::Acme { command } => acme::acme(context, command).await,
        Command::Records { command } => records::records(context, command).await,
        Command::Recovery { command } => recovery::recovery(context, command).await,
        Command::Recover(recover) => recover::recover(context, recover).await,
        Command::Alias { command } => alias::alias(context, command).await,
        Command::Find(find) => find::find(context, find).await,
        Command::Notaries => notaries::notaries(context).await,
        Command::Host(host) => host::host(context, host).await,
        Command::Connect(connect) => connect::connect(context, connect).await,
        Command::Notify { command } => notify::notify(context, command).await,
        Command::Resolve(resolve) => lookup::resolve(context, resolve).await,
        Command::Prove(prove) => lookup::prove(context, prove).await,
        Command::Verify(verify) => lookup::verify(context, verify).await,
        Command::Trust { command } => trust::trust(context, command).await,
        Command::Audit(audit) => audit::audit(context, audit).await,
        Command::Mirror(mirror) => mirror::mirror(context, mirror).await,
        Command::Monitor(monitor) => monitor::monitor(context, monitor).await,
        Command::Token { command } => token::token(context, command).await,
        Command::Grant(grant) => token::grant(context, grant).await,
        Command::Grants => token::grants(context).await,
        Command::Pending => acts::pending(context).await,
        Command::Confirm { act, words } => acts::vote(context, act.as_deref(), acts::Vote::Confirm, words).await,
        Command::Veto { act, words } => acts::vote(context, act.as_deref(), acts::Vote::Veto, words).await,
        Command::Policy { window_s, words } => acts::policy(context, window_s, words).await,
        Command::Transfer(transfer) => acts::transfer(context, transfer).await,
        Command::Release { name, words } => acts::release(context, &name, words).await,
        Command::Rotate { words } => acts::rotate(context, words).await,
        Command::Tombstone { yes, words } => acts::tombstone(context, yes, words).await,
        Command::Bench { command } => bench::bench(context, command).await,
        Command::Completions { .. } => Ok(Ended::Ok),
    }
}

fn open_home(text: &str) -> Result<Home, ClientError> {
    let directory = match text.strip_prefix("~/") {
        None => PathBuf::from(text),
        Some(rest) => {
            let home =
                std::env::var_os("HOME").ok_or_else(|| ClientError::Unable("HOME is not set; use --home".into()))?;
            PathBuf::from(home).join(rest)
        }
    };
    Home::open(&directory)
}
