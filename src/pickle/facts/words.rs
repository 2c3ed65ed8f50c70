//! The facts of one class or function, as `inventory.py` words them.

/// Facts in words. Absent words say that it is as usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pickle) struct Words<'f>(pub(in crate::pickle) &'f str);

/// How many arguments a call takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pickle) struct Arity {
    least: u32,
    /// `None`: any number.
    most: Option<u32>,
    /// It must be given others by name.
    named: bool,
    known: bool,
}

impl<'f> Words<'f> {
    fn all(self) -> impl Iterator<Item = &'f str> {
        self.0.split(' ')
    }

    /// `class`, `classic`, `function`, `builtin`, or `value:` and a type.
    pub(in crate::pickle) fn kind(self) -> &'f str {
        self.all().next().unwrap_or_default()
    }

    /// Whether a word is there by itself.
    pub(in crate::pickle) fn has(self, word: &str) -> bool {
        self.all().any(|one| one == word)
    }

    /// What a word says after its `=`.
    pub(in crate::pickle) fn get(self, word: &str) -> Option<&'f str> {
        self.all()
            .find_map(|one| one.strip_prefix(word)?.strip_prefix('='))
    }

    /// The parts of what a word says.
    pub(in crate::pickle) fn list(
        self,
        word: &str,
    ) -> impl Iterator<Item = &'f str> + Clone + use<'f> {
        let list = self.get(word).unwrap_or_default().split(',');
        list.filter(|part| !part.is_empty())
    }

    /// The nearest base that is written in C.
    pub(in crate::pickle) fn base(self) -> &'f str {
        self.get("base").unwrap_or("object")
    }

    /// The arguments of a function, of `new` or of `init`; `None` if it has no such word.
    pub(in crate::pickle) fn arity(self, word: &str) -> Option<Arity> {
        let text = match word {
            "function" => self.all().nth(1),
            word => self.get(word),
        };
        text.map(Arity::read)
    }

    /// What a model of Django is called: its application and its name.
    pub(in crate::pickle) fn model_label(self) -> Option<&'f str> {
        self.get("model")?.split(':').next()
    }

    /// The attributes of the fields of a model.
    pub(in crate::pickle) fn model_fields(self) -> impl Iterator<Item = &'f str> {
        let (_, fields) = self
            .get("model")
            .and_then(|model| model.split_once(':'))
            .unwrap_or_default();
        fields.split(',').filter(|field| !field.is_empty())
    }
}

impl Arity {
    /// Reads `1-3`, `0-*` and `1-3!2`; anything else tells nothing.
    fn read(text: &str) -> Self {
        let (counts, named) = text
            .split_once('!')
            .map_or((text, false), |(counts, _)| (counts, true));
        let read = || {
            let (least, most) = counts.split_once('-')?;
            let most = match most {
                "*" => None,
                most => Some(most.parse().ok()?),
            };
            Some((least.parse().ok()?, most))
        };
        let counts = read();
        let (least, most) = counts.unwrap_or((0, None));
        Self {
            least,
            most,
            named: named && counts.is_some(),
            known: counts.is_some(),
        }
    }

    /// Whether anything is known of it.
    pub(in crate::pickle) fn is_known(self) -> bool {
        self.known
    }

    /// Whether it takes so many arguments by position, and some or none by name, as far as
    /// that is known.
    pub(in crate::pickle) fn takes(self, count: u32, keywords: bool) -> bool {
        // Names may fill places.
        let enough = count >= self.least || keywords;
        enough && self.most.is_none_or(|most| count <= most) && (keywords || !self.named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_say_what_is_not_as_usual() {
        let facts = Words("class base=dict nodict slots=a,b new=1-2 init=0-* setstate=#01020304");
        assert_eq!(facts.kind(), "class");
        assert_eq!(facts.base(), "dict");
        assert!(facts.has("nodict") && !facts.has("abstract"));
        assert_eq!(facts.list("slots").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(facts.list("sets").count(), 0);
        let new = facts.arity("new").expect("a word");
        assert_eq!(
            [0, 1, 2, 3].map(|count| new.takes(count, false)),
            [false, true, true, false]
        );
        assert!(facts.arity("init").expect("a word").takes(9, false));
        assert_eq!(facts.arity("call"), None);
        assert_eq!(
            Words("class new=?").arity("new").map(Arity::is_known),
            Some(false)
        );
        let named = Words("function 1-1!2 #00000000")
            .arity("function")
            .expect("a word");
        assert!(!named.takes(1, false) && named.takes(1, true));
        let model = Words("class model=shop.Item:id,name");
        assert_eq!(model.model_label(), Some("shop.Item"));
        assert_eq!(model.model_fields().collect::<Vec<_>>(), ["id", "name"]);
    }
}
