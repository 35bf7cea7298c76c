//! The table of rows: a bar, our figure, the peer's, and the winner.

/// What a figure counts, which says whether more of it is better.
#[derive(Clone, Copy)]
pub enum Unit {
    /// More is better.
    PerSecond,
    /// Less is better.
    Microseconds,
    /// Less is better.
    Bytes,
}

struct Row {
    what: String,
    bar: String,
    ours: String,
    peers: String,
    winner: &'static str,
}

/// Rows on their way to be printed.
pub struct Table(Vec<Row>);

impl Table {
    pub fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a row. `bar` and `peer`, by name, are there or not.
    pub fn row(&mut self, what: &str, unit: Unit, bar: Option<f64>, ours: f64, peer: Option<(&str, f64)>) {
        let beats = |one: f64, other: f64| if let Unit::PerSecond = unit { one >= other } else { one <= other };
        let met = |bar: f64| if beats(ours, bar) { "" } else { ": **missed**" };
        self.0.push(Row {
            what: what.to_owned(),
            bar: bar.map_or(String::new(), |bar| format!("{}{}", unit.show(bar), met(bar))),
            ours: unit.show(ours),
            peers: peer.map_or(String::new(), |(name, figure)| format!("{name}: {}", unit.show(figure))),
            winner: peer.map_or("", |(name, figure)| match (beats(ours, figure), name) {
                (true, _) => "dgns",
                (false, "akd") => "akd",
                (false, _) => "ct-merkle",
            }),
        });
    }

    /// Prints the rows as a Markdown table.
    pub fn print(&self) {
        println!("| what | bar | dgns | peer | wins |\n|---|---|---|---|---|");
        for Row { what, bar, ours, peers, winner } in &self.0 {
            println!("| {what} | {bar} | {ours} | {peers} | {winner} |");
        }
    }
}

impl Unit {
    fn show(self, figure: f64) -> String {
        match self {
            Self::PerSecond => format!("{figure:.0}/s"),
            Self::Microseconds => format!("{figure:.1} us"),
            Self::Bytes => format!("{figure:.0} B"),
        }
    }
}
