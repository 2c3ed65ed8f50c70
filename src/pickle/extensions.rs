//! The codes that an application registers with `copyreg.add_extension`.

/// Names by extension code.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extensions {
    /// Sorted by code.
    codes: Vec<(u32, Box<str>, Box<str>)>,
}

impl Extensions {
    /// None: what most applications register.
    pub const NONE: &'static Self = &Self { codes: Vec::new() };

    /// From (code, module, name); of two with one code, either.
    pub fn new(codes: impl IntoIterator<Item = (u32, String, String)>) -> Self {
        let mut codes: Vec<_> = codes
            .into_iter()
            .map(|(code, module, name)| (code, module.into(), name.into()))
            .collect();
        codes.sort_unstable();
        Self { codes }
    }

    /// Module and name of a code.
    pub fn get(&self, code: u32) -> Option<(&str, &str)> {
        let at = self
            .codes
            .binary_search_by_key(&code, |entry| entry.0)
            .ok()?;
        let (_, module, name) = &self.codes[at];
        Some((module, name))
    }
}
