//! Options whose properties are text, as on a command line: lists, sizes, regions.

use model::head::NormalizationChoice;
use model::{Rect, join_labels, split_labels};

/// A value that has a text form.
pub trait TextForm: Sized {
    /// # Errors
    /// Describes the expected text.
    fn parse(text: &str) -> Result<Self, String>;

    /// The text form; `None` for the default value.
    fn write(&self) -> Option<String>;
}

/// A value and the text that it was set from, which reads back unchanged.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Written<T> {
    value: T,
    text: Option<String>,
    /// Why the text is invalid; `value` is the default then.
    error: Option<String>,
}

impl<T: TextForm + Default> Written<T> {
    /// `None` and the empty text set the default.
    pub fn from_text(text: Option<String>) -> Self {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Self::default() };
        let (value, error) = match T::parse(&text) {
            Ok(value) => (value, None),
            Err(error) => (T::default(), Some(error)),
        };
        Self { value, text: Some(text), error }
    }

    pub fn text(&self) -> Option<String> {
        self.text.clone().or_else(|| self.value.write())
    }

    /// The value, if the text of this property is valid.
    ///
    /// # Errors
    /// Names the property and the error in its text.
    pub fn checked(&self, property: &str) -> Result<&T, String> {
        match &self.error {
            None => Ok(&self.value),
            Some(error) => Err(format!("{property}: {error}")),
        }
    }

    /// The value, or the default if the text is invalid.
    pub fn value(&self) -> &T {
        &self.value
    }
}

impl<T> From<T> for Written<T> {
    fn from(value: T) -> Self {
        Self { value, text: None, error: None }
    }
}

/// `WIDTHxHEIGHT` in pixels; 0 means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    pub width: u32,
    pub height: u32,
}

impl TextForm for Size {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` isn't WIDTHxHEIGHT in pixels, for example 32x64");
        let (width, height) = text.split_once('x').ok_or_else(wrong)?;
        let number = |s: &str| s.trim().parse().map_err(|_| wrong());
        Ok(Self { width: number(width)?, height: number(height)? })
    }

    fn write(&self) -> Option<String> {
        (*self != Self::default()).then(|| format!("{}x{}", self.width, self.height))
    }
}

impl TextForm for NormalizationChoice {
    fn parse(text: &str) -> Result<Self, String> {
        text.parse()
    }

    fn write(&self) -> Option<String> {
        Some(self.to_string())
    }
}

/// Parts of the frame as fractions of it, `LEFT,TOP,WIDTH,HEIGHT;…`; empty means the whole frame.
impl TextForm for Vec<Rect> {
    fn parse(text: &str) -> Result<Self, String> {
        text.split(';').map(str::trim).filter(|part| !part.is_empty()).map(region).collect()
    }

    fn write(&self) -> Option<String> {
        let parts: Vec<_> = self.iter().map(|r| format!("{},{},{},{}", r.x, r.y, r.w, r.h)).collect();
        (!parts.is_empty()).then(|| parts.join(";"))
    }
}

fn region(text: &str) -> Result<Rect, String> {
    let wrong = || {
        format!(
            "`{text}` isn't LEFT,TOP,WIDTH,HEIGHT as fractions of the frame (0–1), for example 0,0.5,1,0.5 for its \
             lower half"
        )
    };
    let parts: Vec<f32> = text.split(',').map(|s| s.trim().parse().map_err(|_| wrong())).collect::<Result<_, _>>()?;
    let [x, y, w, h] = parts[..] else { return Err(wrong()) };
    Rect::part_of_frame(x, y, w, h).ok_or_else(wrong)
}

/// Labels or numbers of classes, `person,2`.
impl TextForm for Vec<String> {
    fn parse(text: &str) -> Result<Self, String> {
        Ok(split_labels(text))
    }

    fn write(&self) -> Option<String> {
        (!self.is_empty()).then(|| join_labels(self))
    }
}

/// Confidence by the label or number of a class, `person=0.5,2=0.3`. The last of several values for a class applies.
impl TextForm for Vec<(String, f32)> {
    fn parse(text: &str) -> Result<Self, String> {
        let one = |part: String| {
            let wrong = || format!("`{part}` isn't CLASS=CONFIDENCE, for example person=0.5");
            let (class, value) = part.rsplit_once('=').ok_or_else(wrong)?;
            let value: f32 = value.trim().parse().map_err(|_| wrong())?;
            if !(0.0..=1.0).contains(&value) {
                return Err(format!("{value} of `{part}` isn't between 0 and 1"));
            }
            Ok((class.trim().to_owned(), value))
        };
        split_labels(text).into_iter().map(one).collect()
    }

    fn write(&self) -> Option<String> {
        (!self.is_empty()).then(|| join_labels(self.iter().map(|(class, value)| format!("{class}={value}"))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_back_as_it_is_and_a_value_as_its_text() {
        let classes = Written::<Vec<String>>::from_text(Some("person , 2".into()));
        assert_eq!(classes.value(), &["person", "2"]);
        assert_eq!(classes.text().as_deref(), Some("person , 2"));
        let classes = Written::from(vec!["person".to_owned(), "rider, small".to_owned()]);
        assert_eq!(classes.text().as_deref(), Some(r"person,rider\, small"));
        for unset in [None, Some(String::new())] {
            assert_eq!(Written::<Size>::from_text(unset), Written::default());
        }
        assert_eq!(Written::<Size>::default().text(), None);
        let wrong = Written::<Size>::from_text(Some("32".into()));
        assert_eq!((wrong.text().as_deref(), *wrong.value()), (Some("32"), Size::default()));
        assert_eq!(
            wrong.checked("min-size").unwrap_err(),
            "min-size: `32` isn't WIDTHxHEIGHT in pixels, for example 32x64"
        );
    }

    /// A value's text form parses to that value.
    #[test]
    fn texts_mean_what_was_written() {
        fn same<T: TextForm + Default + PartialEq + std::fmt::Debug>(value: T) {
            assert_eq!(T::parse(&value.write().unwrap()).unwrap(), value);
        }
        same(Size { width: 32, height: 64 });
        same(vec![Rect::new(0.0, 0.5, 1.0, 0.5), Rect::new(0.1, 0.2, 0.3, 0.4)]);
        same(vec!["a=b".to_owned(), r"c\d".to_owned(), "x;y, z".to_owned()]);
        same(vec![("car, small".to_owned(), 0.1), ("2".to_owned(), 1.0)]);
    }

    #[test]
    fn sizes_and_regions() {
        assert_eq!(Size::parse("32x64"), Ok(Size { width: 32, height: 64 }));
        assert!(Size::parse("32").is_err());
        assert!(Size::parse("32x-1").is_err());
        let regions = Vec::<Rect>::parse;
        assert!(regions("").unwrap().is_empty());
        let two = regions("0,0,0.5,1; 0.5,0,0.5,1").unwrap();
        assert_eq!(two, [Rect::new(0.0, 0.0, 0.5, 1.0), Rect::new(0.5, 0.0, 0.5, 1.0)]);
        for wrong in ["0,0,1", "0,0,1,2", "0,0,0,1", "a,0,1,1", "0,0,nan,1", "-0.1,0,1,1"] {
            assert!(regions(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn confidence_by_class() {
        let values = |text: &str| Written::<Vec<(String, f32)>>::from_text(Some(text.into()));
        assert_eq!(
            values("traffic light=0.5, 2=1").checked("class-confidence"),
            Ok(&vec![("traffic light".into(), 0.5), ("2".into(), 1.0)])
        );
        for wrong in ["person", "person=x", "person=1.5", "person=nan"] {
            let values = values(wrong);
            let error = values.checked("class-confidence").unwrap_err();
            assert!(error.contains(wrong) && error.starts_with("class-confidence: "), "{error}");
        }
    }
}
