//! How elements declare their properties: one row each, with its specification and the option's field.

use gst::glib::{self, ParamSpec, Value};
use gst::prelude::*;

/// A row of the table, made by [`property!`].
pub struct Property<O> {
    pub spec: ParamSpec,
    pub get: fn(&O) -> Value,
    pub set: fn(&mut O, &Value),
    /// True if both have the same value.
    pub same: fn(&O, &O) -> bool,
    /// Copies the value from the second to the first.
    pub copy: fn(&mut O, &O),
}

/// A property: the builder of its specification, the field, and the module of [`as_value`] (or one of the element's
/// own) that converts between the field and a GObject value.
macro_rules! property {
    ($spec:expr, $($field:ident).+ as $kind:ident) => {
        $crate::elements::property::Property {
            spec: $spec.build(),
            get: |options| $kind::get(&options.$($field).+),
            set: |options, value| $kind::set(&mut options.$($field).+, value),
            same: |a, b| a.$($field).+ == b.$($field).+,
            copy: |to, from| to.$($field).+.clone_from(&from.$($field).+),
        }
    };
}
pub(super) use property;

/// An element's properties.
pub struct Properties<O> {
    rows: Vec<Property<O>>,
    specs: Vec<ParamSpec>,
}

impl<O> Properties<O> {
    pub fn new<const N: usize>(rows: [Property<O>; N]) -> Self {
        let specs = rows.iter().map(|row| row.spec.clone()).collect();
        Self { rows: rows.into(), specs }
    }

    /// Appends the property `stats`, which isn't an option.
    pub fn with_stats(mut self, blurb: &str) -> Self {
        let stats = glib::ParamSpecBoxed::builder::<gst::Structure>("stats").nick("Statistics").blurb(blurb);
        self.specs.push(stats.read_only().build());
        self
    }

    pub fn specs(&self) -> &[ParamSpec] {
        &self.specs
    }

    pub fn rows(&self) -> &[Property<O>] {
        &self.rows
    }

    /// The value of the property with this GObject id, counted from 1. Returns `None` for `stats`.
    pub fn get(&self, options: &O, id: usize) -> Option<Value> {
        self.row(id).map(|row| (row.get)(options))
    }

    /// Sets a property. GObject has already checked its type and range.
    pub fn set(&self, options: &mut O, id: usize, value: &Value) {
        if let Some(row) = self.row(id) {
            (row.set)(options, value);
        }
    }

    /// Whether no row has this name.
    pub fn lacks(&self, name: &str) -> bool {
        self.rows.iter().all(|row| row.spec.name() != name)
    }

    /// The properties in which two elements' options differ.
    pub fn differences(&'static self, a: &O, b: &O) -> Vec<&'static ParamSpec> {
        self.rows.iter().filter(|row| !(row.same)(a, b)).map(|row| &row.spec).collect()
    }

    fn row(&self, id: usize) -> Option<&Property<O>> {
        self.rows.get(id.checked_sub(1)?)
    }
}

/// Conversions between fields and GObject values.
pub mod as_value {
    /// Values that need no conversion: numbers, booleans, enumerations.
    pub mod itself {
        use gst::glib::value::{FromValue, ToValue, Value};

        pub fn get<T: ToValue>(field: &T) -> Value {
            field.to_value()
        }

        pub fn set<T: for<'a> FromValue<'a>>(field: &mut T, value: &Value) {
            if let Ok(new) = value.get() {
                *field = new;
            }
        }
    }

    /// Text; empty means unset.
    pub mod some_text {
        use gst::glib::value::{ToValue, Value};

        pub fn get(field: &Option<String>) -> Value {
            field.to_value()
        }

        pub fn set(field: &mut Option<String>, value: &Value) {
            *field = value.get::<Option<String>>().ok().flatten().filter(|text| !text.is_empty());
        }
    }

    /// A path; empty means unset.
    pub mod path {
        use gst::glib::value::{ToValue, Value};
        use std::path::PathBuf;

        pub fn get(field: &Option<PathBuf>) -> Value {
            field.as_ref().map(|path| path.to_string_lossy().into_owned()).to_value()
        }

        pub fn set(field: &mut Option<PathBuf>, value: &Value) {
            let text = value.get::<Option<String>>().ok().flatten();
            *field = text.filter(|text| !text.is_empty()).map(PathBuf::from);
        }
    }

    /// A duration in nanoseconds.
    pub mod time {
        use crate::infer::nanoseconds;
        use gst::glib::value::{ToValue, Value};
        use std::time::Duration;

        pub fn get(field: &Duration) -> Value {
            nanoseconds(*field).to_value()
        }

        pub fn set(field: &mut Duration, value: &Value) {
            if let Ok(time) = value.get() {
                *field = Duration::from_nanos(time);
            }
        }
    }

    /// Options with a text form.
    pub mod written {
        use crate::options::{TextForm, Written};
        use gst::glib::value::{ToValue, Value};

        pub fn get<T: TextForm + Default>(field: &Written<T>) -> Value {
            field.text().to_value()
        }

        pub fn set<T: TextForm + Default>(field: &mut Written<T>, value: &Value) {
            *field = Written::from_text(value.get().unwrap_or_default());
        }
    }
}
