//! The mistakes in a configuration, and their places: every problem is collected, so
//! that all are told at once.

use std::cell::RefCell;
use std::fmt;

/// Errors of one configuration, in the order of its lines; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

/// A problem. Shown as `picklegate.toml:12: rules[1].mode: what is wrong`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file, where there is one.
    pub source: Option<String>,
    /// The line in it, counted from 1.
    pub line: Option<usize>,
    /// The offending key or flag; empty where the file as a whole is meant.
    pub key: String,
    /// The mistake, and what would be right.
    pub message: String,
}

impl ConfigErrors {
    /// The problems, in the order of their lines.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.0.iter()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            let line_break = if i == 0 { "" } else { "\n" };
            write!(f, "{line_break}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.source, self.line) {
            (Some(source), Some(line)) => write!(f, "{source}:{line}: ")?,
            (Some(source), None) => write!(f, "{source}: ")?,
            (None, _) => {}
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// The place of a setting: its line in the file, and its path of keys (or its flag).
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    pub(super) line: Option<usize>,
    pub(super) key: String,
}

impl Place {
    /// A command line flag, which has no line.
    pub(super) fn flag(flag: &str) -> Self {
        Self {
            line: None,
            key: flag.to_owned(),
        }
    }
}

/// A setting, and where it stands.
#[derive(Debug, Clone)]
pub(super) struct At<T> {
    pub(super) place: Place,
    pub(super) value: T,
}

impl<T> At<T> {
    /// The meaning of its value, at the same place.
    pub(super) fn map<U>(self, meaning: impl FnOnce(T) -> U) -> At<U> {
        let Self { place, value } = self;
        let value = meaning(value);
        At { place, value }
    }
}

/// Collects problems while a configuration is read and compiled. Whoever meets
/// one reports it and goes on with `None`.
#[derive(Debug, Default)]
pub(super) struct Report {
    source: Option<String>,
    errors: RefCell<Vec<ConfigError>>,
    warnings: RefCell<Vec<ConfigError>>,
}

impl Report {
    pub(super) fn new(source: Option<&str>) -> Self {
        Self {
            source: source.map(str::to_owned),
            ..Self::default()
        }
    }

    /// Notes what makes the configuration unusable.
    pub(super) fn error(&self, place: &Place, message: impl Into<String>) {
        self.errors.borrow_mut().push(self.note(place, message));
    }

    /// Notes what is allowed but hardly meant.
    pub(super) fn warn(&self, place: &Place, message: impl Into<String>) {
        self.warnings.borrow_mut().push(self.note(place, message));
    }

    /// Passes a success on; notes a failure.
    pub(super) fn ok<T>(&self, place: &Place, result: Result<T, impl fmt::Display>) -> Option<T> {
        result
            .map_err(|error| self.error(place, error.to_string()))
            .ok()
    }

    /// The warnings of a configuration without errors.
    pub(super) fn finish(self) -> Result<Vec<String>, ConfigErrors> {
        let in_order = |mut notes: Vec<ConfigError>| {
            notes.sort_by_key(|note| note.line);
            notes
        };
        let errors = in_order(self.errors.into_inner());
        if !errors.is_empty() {
            return Err(ConfigErrors(errors));
        }
        let warnings = in_order(self.warnings.into_inner());
        Ok(warnings.iter().map(ConfigError::to_string).collect())
    }

    fn note(&self, place: &Place, message: impl Into<String>) -> ConfigError {
        ConfigError {
            source: self.source.clone(),
            line: place.line,
            key: place.key.clone(),
            message: message.into(),
        }
    }
}
