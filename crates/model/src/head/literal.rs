//! Python literals, which Ultralytics writes into ONNX metadata; JSON is read too.

use std::iter::Peekable;
use std::str::Chars;

/// A value in the syntax of Python's `repr` or JSON.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    None,
    Bool(bool),
    Number(f64),
    Text(String),
    /// A list or a tuple.
    List(Vec<Literal>),
    Dict(Vec<(Literal, Literal)>),
}

/// The maximum nesting depth.
const MAX_DEPTH: usize = 16;

impl Literal {
    /// `None` if the text isn't a literal.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parser = Parser { rest: text.chars().peekable() };
        let value = parser.value(MAX_DEPTH)?;
        parser.skip_space();
        parser.rest.next().is_none().then_some(value)
    }

    /// A non-negative integer, which may be written as text (a JSON key).
    pub(super) fn as_index(&self) -> Option<usize> {
        match self {
            Self::Number(n) if *n >= 0.0 && *n <= f64::from(u32::MAX) && n.fract() == 0.0 => Some(*n as usize),
            Self::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// The value of a dictionary's key.
    pub(super) fn get(&self, key: &str) -> Option<&Literal> {
        let Self::Dict(entries) = self else { return None };
        entries.iter().find(|(k, _)| matches!(k, Self::Text(k) if k == key)).map(|(_, value)| value)
    }
}

struct Parser<'a> {
    rest: Peekable<Chars<'a>>,
}

impl Parser<'_> {
    fn skip_space(&mut self) {
        while self.rest.next_if(|c| c.is_whitespace()).is_some() {}
    }

    fn take(&mut self, wanted: char) -> Option<()> {
        self.skip_space();
        self.rest.next_if_eq(&wanted).map(|_| ())
    }

    fn value(&mut self, depth: usize) -> Option<Literal> {
        let depth = depth.checked_sub(1)?;
        self.skip_space();
        match *self.rest.peek()? {
            '\'' | '"' => self.text().map(Literal::Text),
            '[' => self.list('[', ']', depth),
            '(' => self.list('(', ')', depth),
            '{' => self.dict(depth),
            _ => self.word(),
        }
    }

    fn word(&mut self) -> Option<Literal> {
        let mut word = String::new();
        while let Some(c) = self.rest.next_if(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_')) {
            word.push(c);
        }
        match word.as_str() {
            "None" | "null" => Some(Literal::None),
            "True" | "true" => Some(Literal::Bool(true)),
            "False" | "false" => Some(Literal::Bool(false)),
            _ => word.parse().ok().map(Literal::Number),
        }
    }

    fn list(&mut self, open: char, close: char, depth: usize) -> Option<Literal> {
        self.take(open)?;
        let mut items = Vec::new();
        while self.take(close).is_none() {
            items.push(self.value(depth)?);
            if self.take(',').is_none() {
                self.take(close)?;
                break;
            }
        }
        Some(Literal::List(items))
    }

    fn dict(&mut self, depth: usize) -> Option<Literal> {
        self.take('{')?;
        let mut entries = Vec::new();
        while self.take('}').is_none() {
            let key = self.value(depth)?;
            self.take(':')?;
            entries.push((key, self.value(depth)?));
            if self.take(',').is_none() {
                self.take('}')?;
                break;
            }
        }
        Some(Literal::Dict(entries))
    }

    fn text(&mut self) -> Option<String> {
        let quote = self.rest.next()?;
        let mut text = String::new();
        loop {
            match self.rest.next()? {
                c if c == quote => return Some(text),
                '\\' => text.extend(self.escape()?),
                c => text.push(c),
            }
        }
    }

    /// Parses the characters after a backslash; `Some(None)` for a line continuation.
    fn escape(&mut self) -> Option<Option<char>> {
        Some(Some(match self.rest.next()? {
            '\n' => return Some(None),
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'v' => '\u{b}',
            'a' => '\u{7}',
            '0' => '\0',
            'x' => self.code(2)?,
            'u' => self.code(4)?,
            'U' => self.code(8)?,
            c => c,
        }))
    }

    /// Parses a character given by its hexadecimal code; the first half of a surrogate pair (JSON beyond U+FFFF)
    /// consumes the second.
    fn code(&mut self, digits: usize) -> Option<char> {
        let mut code = self.hex(digits)?;
        if (0xd800..0xdc00).contains(&code) && self.rest.next_if_eq(&'\\').is_some() {
            self.rest.next_if_eq(&'u')?;
            let low = self.hex(4)?;
            code = 0x10000 + ((code - 0xd800) << 10) + low.checked_sub(0xdc00)?;
        }
        Some(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex(&mut self, digits: usize) -> Option<u32> {
        (0..digits).try_fold(0u32, |code, _| Some((code << 4) | self.rest.next()?.to_digit(16)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(s: &str) -> Literal {
        Literal::Text(s.into())
    }

    #[test]
    fn reads_what_python_writes() {
        let names = Literal::parse(r#"{0: 'person', 1: "driver's licence", 2: 'a \'q\' "d"', 3: 'é\u00e9\xe9\t',}"#);
        let Some(Literal::Dict(names)) = names else { panic!("{names:?}") };
        let values: Vec<_> = names.iter().map(|(k, v)| (k.as_index().unwrap(), v.clone())).collect();
        let expected = ["person", "driver's licence", "a 'q' \"d\"", "ééé\t"].map(text);
        assert_eq!(values, expected.into_iter().enumerate().collect::<Vec<_>>());
        assert_eq!(
            Literal::parse(" [640, (17,3 ), None, True, -1.5e3, {}, []] "),
            Some(Literal::List(vec![
                Literal::Number(640.0),
                Literal::List(vec![Literal::Number(17.0), Literal::Number(3.0)]),
                Literal::None,
                Literal::Bool(true),
                Literal::Number(-1500.0),
                Literal::Dict(vec![]),
                Literal::List(vec![]),
            ]))
        );
        let args = Literal::parse("{'batch': 1, 'nms': True}").unwrap();
        assert_eq!(args.get("nms"), Some(&Literal::Bool(true)));
        assert_eq!(args.get("half"), None);
    }

    #[test]
    fn reads_json() {
        let names = Literal::parse(r#"{"0": "a\/b", "1": "\ud83d\ude00", "2": null}"#).unwrap();
        let Literal::Dict(names) = names else { panic!() };
        assert_eq!(names[1].0.as_index(), Some(1));
        assert_eq!(names[0].1, text("a/b"));
        assert_eq!(names[1].1, text("😀"));
        assert_eq!(names[2].1, Literal::None);
    }

    #[test]
    fn refuses_what_is_no_literal() {
        let deep = "[".repeat(100_000);
        for bad in ["", "{", "{0 'a'}", "{0: 'a'", "'abc", r"'\x4", "[1 2]", "person", "[1],", r"'\ud83d\u0041'", &deep]
        {
            assert_eq!(Literal::parse(bad), None, "{}", &bad[..bad.len().min(20)]);
        }
        assert_eq!(Literal::parse(r"'\ud83d'"), Some(text("\u{fffd}")));
    }

    proptest! {
        #[test]
        fn never_panics(s in r#"[\[\](){}'"\\,:uxU0-9a-f\-. \n]*"#) {
            let _ = Literal::parse(&s);
        }

        #[test]
        fn text_survives(s in "\\PC*") {
            let quoted = format!("'{}'", s.replace('\\', "\\\\").replace('\'', "\\'"));
            prop_assert_eq!(Literal::parse(&quoted), Some(Literal::Text(s)));
        }
    }
}
