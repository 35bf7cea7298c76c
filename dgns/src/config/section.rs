//! A table of TOML as it is read: each key is taken once, every fault is collected, and what is left over is refused.

use std::fmt;
use std::net::SocketAddr;

use toml::{Table, Value};
use translog::note::is_key_name;

/// One thing wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFault {
    /// The key, such as `dns.listen`; empty if the text is no TOML at all.
    pub key: String,
    /// What is wrong and what would be right.
    pub what: String,
}

/// Everything wrong with a configuration; at least one fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFaults(pub Vec<ConfigFault>);

impl fmt::Display for ConfigFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, fault) in self.0.iter().enumerate() {
            if place > 0 {
                writeln!(f)?;
            }
            match fault.key.is_empty() {
                true => write!(f, "{}", fault.what)?,
                false => write!(f, "{}: {}", fault.key, fault.what)?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for ConfigFaults {}

/// One table while its keys are taken out.
pub(super) struct Section<'a> {
    pub(super) name: &'static str,
    pub(super) table: Table,
    pub(super) faults: &'a mut Vec<ConfigFault>,
}

impl Section<'_> {
    pub(super) fn fault(&mut self, key: &str, what: impl Into<String>) {
        let key = match self.name.is_empty() {
            true => key.to_owned(),
            false => format!("{}.{key}", self.name),
        };
        self.faults.push(ConfigFault { key, what: what.into() });
    }

    pub(super) fn text(&mut self, key: &str, default: &str) -> String {
        match self.table.remove(key) {
            None => default.to_owned(),
            Some(Value::String(text)) => text,
            Some(other) => {
                self.fault(key, format!("is {}, should be a string", other.type_str()));
                default.to_owned()
            }
        }
    }

    pub(super) fn texts(&mut self, key: &str, default: &[&str]) -> Vec<String> {
        let defaults = || default.iter().map(|text| (*text).to_owned()).collect();
        match self.table.remove(key) {
            None => defaults(),
            Some(Value::Array(items)) if items.iter().all(Value::is_str) => {
                items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
            }
            Some(_) => {
                self.fault(key, "should be a list of strings");
                defaults()
            }
        }
    }

    pub(super) fn number(&mut self, key: &str, default: u64, least: u64, most: u64) -> u64 {
        match self.table.remove(key) {
            None => default,
            Some(Value::Integer(number)) => match u64::try_from(number) {
                Ok(number) if (least..=most).contains(&number) => number,
                _ => {
                    self.fault(key, format!("is {number}, should lie in {least}..={most}"));
                    default
                }
            },
            Some(other) => {
                self.fault(key, format!("is {}, should be a whole number", other.type_str()));
                default
            }
        }
    }

    pub(super) fn truth(&mut self, key: &str, default: bool) -> bool {
        match self.table.remove(key) {
            None => default,
            Some(Value::Boolean(truth)) => truth,
            Some(other) => {
                self.fault(key, format!("is {}, should be true or false", other.type_str()));
                default
            }
        }
    }

    /// The name of a cosigner's key; empty is `default`.
    pub(super) fn key_name(&mut self, key: &str, default: &str) -> String {
        let name = self.text(key, "");
        if name.is_empty() {
            return default.to_owned();
        }
        if !is_key_name(&name) {
            self.fault(
                key,
                format!("{name:?} is no name of a key: 1 to 255 bytes without space, plus or control character"),
            );
        }
        name
    }

    pub(super) fn address(&mut self, key: &str, text: &str) -> SocketAddr {
        text.parse().unwrap_or_else(|_| {
            self.fault(key, format!("{text:?} is no address with a port, such as 127.0.0.1:5380 or [::1]:5380"));
            SocketAddr::from(([127, 0, 0, 1], 0))
        })
    }

    pub(super) fn table(&mut self, key: &str) -> Table {
        match self.table.remove(key) {
            None => Table::new(),
            Some(Value::Table(table)) => table,
            Some(other) => {
                self.fault(key, format!("is {}, should be a table", other.type_str()));
                Table::new()
            }
        }
    }

    /// The tables of a list of them.
    pub(super) fn tables(&mut self, key: &str) -> Vec<Table> {
        match self.table.remove(key) {
            None => Vec::new(),
            Some(Value::Array(items)) if items.iter().all(Value::is_table) => {
                items.into_iter().filter_map(|item| item.try_into().ok()).collect()
            }
            Some(_) => {
                self.fault(key, "should be a list of tables");
                Vec::new()
            }
        }
    }

    pub(super) fn end(mut self) {
        let unknown: Vec<String> = std::mem::take(&mut self.table).into_iter().map(|(key, _)| key).collect();
        for key in unknown {
            self.fault(&key, "unknown key; `dgnsd config` prints every key there is");
        }
    }
}
