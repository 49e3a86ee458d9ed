//! Reads TOML tables key by key and remembers what was wrong, so that all faults of a file are told
//! at once. It never knows which keys exist: a key is known because somebody asked for it.

use std::{cell::RefCell, collections::BTreeMap};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Longest value that is repeated in a sentence, characters.
const MAX_SHOWN: usize = 60;

/// One thing wrong with the file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where, counted from 1; 0 for the file as a whole.
    pub line: usize,
    /// What, and what to do about it.
    pub sentence: String,
}

/// Why a value cannot be used.
pub(super) enum Fault {
    /// What the value must be; becomes "KEY must be …, not VALUE".
    MustBe(String),
    /// A whole sentence; the key is put before it.
    Sentence(String),
}

/// What a value becomes.
pub(super) type Read<T> = Result<T, Fault>;

/// A key that somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    /// The table's dotted name; empty for the top of the file.
    pub(super) table: String,
    pub(super) name: &'static str,
    /// Brackets of the table's header: `[x]` or `[[x]]`.
    header: String,
}

struct Unknown {
    line: usize,
    table: String,
    header: String,
    name: String,
}

/// All that was found out about one file.
pub(super) struct Notes<'t> {
    text: &'t str,
    problems: RefCell<Vec<Problem>>,
    keys: RefCell<Vec<Key>>,
    unknown: RefCell<Vec<Unknown>>,
}

impl<'t> Notes<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self {
            text,
            problems: RefCell::default(),
            keys: RefCell::default(),
            unknown: RefCell::default(),
        }
    }

    /// Whether nothing has been wrong so far.
    pub(super) fn clean(&self) -> bool {
        self.problems.borrow().is_empty()
    }

    /// The whole file as a section; `None` when it is not TOML.
    pub(super) fn root(&self) -> Option<Section<'_, 't>> {
        match DeTable::parse(self.text) {
            Ok(table) => {
                Some(Section::new(self, String::new(), String::new(), 0, table.into_inner()))
            }
            Err(error) => {
                let line = error.span().map_or(0, |span| self.line(span.start));
                let sentence = format!(
                    "this is not TOML: {}; write one key = value a line, texts in quotes",
                    error.message().trim_end_matches('.')
                );
                self.problem(line, sentence);
                None
            }
        }
    }

    /// The keys that were asked for, and the problems in the file's order.
    pub(super) fn finish(self) -> (Vec<Key>, Vec<Problem>) {
        let mut keys = self.keys.into_inner();
        keys.sort();
        keys.dedup();
        let mut problems = self.problems.into_inner();
        for unknown in self.unknown.into_inner() {
            let sentence = unknown.sentence(&keys);
            problems.push(Problem { line: unknown.line, sentence });
        }
        problems.sort();
        (keys, problems)
    }

    fn problem(&self, line: usize, sentence: String) {
        self.problems.borrow_mut().push(Problem { line, sentence });
    }

    fn line(&self, offset: usize) -> usize {
        let before = self.text.get(..offset).unwrap_or(self.text);
        before.bytes().filter(|byte| *byte == b'\n').count() + 1
    }
}

impl Unknown {
    fn sentence(&self, keys: &[Key]) -> String {
        let name = &self.name;
        let place = if self.table.is_empty() {
            "at the top of the file".to_string()
        } else {
            format!("in {}", self.header)
        };
        let here = || keys.iter().filter(|key| key.table == self.table).map(|key| key.name);
        let near = here()
            .map(|key| (strsim::damerau_levenshtein(&name.to_lowercase(), key), key))
            .min()
            .filter(|(distance, key)| distance * 5 <= key.len().max(name.len()) * 2);
        let elsewhere: Vec<_> = keys
            .iter()
            .filter(|key| key.name == *name)
            .map(|key| {
                if key.table.is_empty() {
                    "at the top of the file, before the first [table]".to_string()
                } else {
                    format!("below {}", key.header)
                }
            })
            .collect();
        let remedy = match near {
            // One letter off is a slip of the pen, wherever else the word may stand.
            Some((1, key)) => format!("did you mean \"{key}\"?"),
            _ if !elsewhere.is_empty() => format!("it belongs {}", elsewhere.join(" or ")),
            Some((_, key)) => format!("did you mean \"{key}\"?"),
            None => format!("the keys here are {}", here().collect::<Vec<_>>().join(", ")),
        };
        format!("unknown key \"{name}\" {place}; {remedy}")
    }
}

/// One table of the file. When it is dropped, keys that nobody asked for are noted as unknown.
pub(super) struct Section<'n, 't> {
    notes: &'n Notes<'t>,
    path: String,
    header: String,
    line: usize,
    table: DeTable<'t>,
    lines: BTreeMap<&'static str, usize>,
}

impl<'n, 't> Section<'n, 't> {
    fn new(
        notes: &'n Notes<'t>,
        path: String,
        header: String,
        line: usize,
        table: DeTable<'t>,
    ) -> Self {
        Self { notes, path, header, line, table, lines: BTreeMap::new() }
    }

    /// The value of `key`; `None` when it is absent or wrong, which is then noted.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&DeValue) -> Read<T>,
    ) -> Option<T> {
        let value = self.take(key)?;
        match read(value.as_ref()) {
            Ok(read) => Some(read),
            Err(Fault::Sentence(sentence)) => {
                self.fault(key, &sentence);
                None
            }
            Err(Fault::MustBe(what)) => {
                let given = self.notes.text.get(value.span()).unwrap_or("this").trim();
                let mut shown: String =
                    given.chars().take(MAX_SHOWN).take_while(|c| *c != '\n').collect();
                if shown.len() < given.len() {
                    shown.push('…');
                }
                self.fault(key, &format!("must be {what}, not {shown}"));
                None
            }
        }
    }

    /// The value of `key`, or `default` when it is absent. A wrong value is noted.
    pub(super) fn or<T>(
        &mut self,
        key: &'static str,
        default: T,
        read: impl FnOnce(&DeValue) -> Read<T>,
    ) -> T {
        self.optional(key, read).unwrap_or(default)
    }

    /// The table `[key]`; an empty one when it is absent.
    pub(super) fn section(&mut self, key: &'static str) -> Section<'n, 't> {
        let (line, table) = match self.take(key).map(|value| (value.span(), value.into_inner())) {
            Some((span, DeValue::Table(table))) => (self.notes.line(span.start), table),
            Some(_) => {
                let name = self.dotted(key);
                self.fault(key, &format!("must be a table: write its keys below a line [{name}]"));
                (0, DeTable::new())
            }
            None => (0, DeTable::new()),
        };
        let path = self.dotted(key);
        Section::new(self.notes, path.clone(), format!("[{path}]"), line, table)
    }

    /// The tables `[[key]]`; a single empty one when there is none, which then holds the defaults.
    pub(super) fn sections(&mut self, key: &'static str) -> Vec<Section<'n, 't>> {
        let path = self.dotted(key);
        let mut tables = Vec::new();
        if let Some(value) = self.take(key) {
            let elements: Option<Vec<_>> = match value.into_inner() {
                DeValue::Array(array) => array
                    .into_iter()
                    .map(|element| match (element.span(), element.into_inner()) {
                        (span, DeValue::Table(table)) => Some((self.notes.line(span.start), table)),
                        _ => None,
                    })
                    .collect(),
                _ => None,
            };
            match elements {
                Some(elements) => tables = elements,
                None => self.fault(
                    key,
                    &format!(
                        "can occur several times: write each below a line [[{path}]] with two \
                         brackets"
                    ),
                ),
            }
        }
        if tables.is_empty() {
            tables.push((0, DeTable::new()));
        }
        let section = |(line, table)| {
            Section::new(self.notes, path.clone(), format!("[[{path}]]"), line, table)
        };
        tables.into_iter().map(section).collect()
    }

    /// Whether the file gives this key a value; true also after it was read.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key) || self.lines.contains_key(key)
    }

    /// Notes what is wrong with `key`, in the words behind its name.
    pub(super) fn fault(&self, key: &'static str, words: &str) {
        let line = self.lines.get(key).copied().unwrap_or(self.line);
        self.notes.problem(line, format!("{} {words}", self.dotted(key)));
    }

    /// Whether nothing has been wrong with the file so far.
    pub(super) fn clean(&self) -> bool {
        self.notes.clean()
    }

    fn take(&mut self, key: &'static str) -> Option<Spanned<DeValue<'t>>> {
        let known = Key { table: self.path.clone(), name: key, header: self.header.clone() };
        self.notes.keys.borrow_mut().push(known);
        let value = self.table.remove(key)?;
        self.lines.insert(key, self.notes.line(value.span().start));
        Some(value)
    }

    fn dotted(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_string() } else { format!("{}.{key}", self.path) }
    }
}

impl Drop for Section<'_, '_> {
    fn drop(&mut self) {
        let left = std::mem::take(&mut self.table);
        let unknown = left.into_iter().map(|(name, _)| Unknown {
            line: self.notes.line(name.span().start),
            table: self.path.clone(),
            header: self.header.clone(),
            name: name.into_inner().into_owned(),
        });
        self.notes.unknown.borrow_mut().extend(unknown);
    }
}
