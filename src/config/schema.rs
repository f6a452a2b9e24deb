//! The JSON Schema of the file, made from its types, and queries on it: which keys there are, and what values they
//! take.

use super::file::File;
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// Returns the JSON Schema, as in `docs/config.schema.json`.
pub fn json_schema() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
        let mut schema = schemars::schema_for!(File).to_value();
        drop_idle_defaults(&mut schema);
        // Prevents editors from taking an object with a `url` key, or without one, for a camera without an address.
        if let Some(camera) = schema.pointer_mut("/$defs/Camera").and_then(Value::as_object_mut) {
            camera.insert("required".into(), json!(["URL"]));
        }
        schema
    });
    &SCHEMA
}

/// Removes redundant defaults: null, and objects whose keys have defaults.
fn drop_idle_defaults(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if object.get("default").is_some_and(|default| default.is_null() || default.is_object()) {
                object.remove("default");
            }
            object.values_mut().for_each(drop_idle_defaults);
        }
        Value::Array(list) => list.iter_mut().for_each(drop_idle_defaults),
        _ => {}
    }
}

/// A part of the schema: the allowed forms of one value.
#[derive(Debug, Clone, Copy)]
pub struct Shape(&'static Map<String, Value>);

/// Kinds of JSON value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Bool,
    /// Whole numbers are numbers too.
    Number,
    Text,
    List,
    Object,
}

impl Shape {
    /// The whole file.
    pub fn root() -> Self {
        Self::of(json_schema())
    }

    fn of(schema: &'static Value) -> Self {
        static ANY: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
        let object = schema.as_object().unwrap_or(&ANY);
        match object.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix('#')) {
            Some(pointer) => json_schema().pointer(pointer).and_then(Value::as_object).map_or(Self(&ANY), Self),
            None => Self(object),
        }
    }

    /// The forms that a value may have, except `null`.
    pub fn forms(self) -> Vec<Self> {
        match self.0.get("anyOf").and_then(Value::as_array) {
            Some(any) => any.iter().flat_map(|schema| Self::of(schema).forms()).collect(),
            None => self.kind().map(|_| self).into_iter().collect(),
        }
    }

    /// The kind of a shape with one form; `None` for `null` alone.
    pub fn kind(self) -> Option<Kind> {
        let names = match self.0.get("type")? {
            Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
            name => vec![name.as_str()?],
        };
        names.into_iter().find_map(|name| match name {
            "boolean" => Some(Kind::Bool),
            "number" | "integer" => Some(Kind::Number),
            "string" => Some(Kind::Text),
            "array" => Some(Kind::List),
            "object" => Some(Kind::Object),
            _ => None,
        })
    }

    pub fn is_whole(self) -> bool {
        match self.0.get("type") {
            Some(Value::Array(names)) => names.iter().any(|name| name == "integer"),
            Some(name) => name == "integer",
            None => false,
        }
    }

    /// The least and the greatest number.
    pub fn range(self) -> (Option<f64>, Option<f64>) {
        let number = |key| self.0.get(key).and_then(Value::as_f64);
        (number("minimum"), number("maximum"))
    }

    /// The number of a list's items, where it is fixed.
    pub fn length(self) -> Option<usize> {
        let least = self.0.get("minItems")?.as_u64()?;
        (self.0.get("maxItems")?.as_u64()? == least).then(|| usize::try_from(least).ok()).flatten()
    }

    /// The words that text is restricted to; none: any text.
    pub fn words(self) -> Vec<&'static str> {
        let list = self.0.get("enum").and_then(Value::as_array);
        list.map(|list| list.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
    }

    /// The shape of a list's items.
    pub fn items(self) -> Option<Self> {
        self.0.get("items").map(Self::of)
    }

    /// The shape of the values of an object with free keys.
    pub fn values(self) -> Option<Self> {
        self.0.get("additionalProperties").filter(|schema| schema.is_object()).map(Self::of)
    }

    /// An object's keys.
    pub fn keys(self) -> impl Iterator<Item = &'static str> {
        self.0.get("properties").and_then(Value::as_object).into_iter().flatten().map(|(key, _)| key.as_str())
    }

    pub fn key(self, key: &str) -> Option<Self> {
        self.0.get("properties")?.get(key).map(Self::of)
    }

    /// The default of a key; `None`: there is none.
    pub fn default_of(self, key: &str) -> Option<&'static Value> {
        self.0.get("properties")?.get(key)?.get("default")
    }

    /// Describes the allowed values: `a whole number from 1 to 1000`.
    pub fn description(self) -> String {
        let forms: Vec<String> = self.forms().into_iter().map(Self::description_of_form).collect();
        forms.join(" or ")
    }

    fn description_of_form(self) -> String {
        let words = self.words();
        if !words.is_empty() {
            return format!("one of {}", words.join(", "));
        }
        match self.kind() {
            Some(Kind::Bool) => "true or false".into(),
            Some(Kind::Number) => {
                let name = if self.is_whole() { "a whole number" } else { "a number" };
                match self.range() {
                    (Some(least), Some(most)) => format!("{name} from {least} to {most}"),
                    (Some(least), None) => format!("{name}, {least} or more"),
                    (None, Some(most)) => format!("{name}, {most} or less"),
                    (None, None) => name.into(),
                }
            }
            Some(Kind::Text) => "text".into(),
            Some(Kind::List) => {
                let item =
                    self.items().map_or_else(String::new, |items| format!(" of {}", items.description_in_list()));
                match self.length() {
                    Some(length) => format!("a list{item}, {length} of them"),
                    None => format!("a list{item}"),
                }
            }
            Some(Kind::Object) => "an object { … }".into(),
            None => "anything".into(),
        }
    }

    fn description_in_list(self) -> String {
        let plural = |form: Self| match form.kind() {
            Some(Kind::Number) => "numbers",
            Some(Kind::Text) => "texts",
            Some(Kind::List) => "lists",
            Some(Kind::Object) => "objects",
            Some(Kind::Bool) | None => "values",
        };
        self.forms().into_iter().map(plural).collect::<Vec<_>>().join(" or ")
    }
}

/// Every key outside lists, as its path: `["processing", "MAX_QUEUE_SIZE"]`.
pub fn paths() -> &'static [Vec<&'static str>] {
    static PATHS: LazyLock<Vec<Vec<&'static str>>> = LazyLock::new(|| {
        let mut found = Vec::new();
        collect(Shape::root(), &mut Vec::new(), &mut found);
        found
    });
    &PATHS
}

fn collect(shape: Shape, path: &mut Vec<&'static str>, found: &mut Vec<Vec<&'static str>>) {
    for key in shape.keys() {
        path.push(key);
        found.push(path.clone());
        if let Some(inner) = shape.key(key) {
            inner.forms().into_iter().for_each(|form| collect(form, path, found));
        }
        path.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_in_docs_is_of_these_types() {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/config.schema.json");
        let text = format!("{:#}\n", json_schema());
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(&file, &text).unwrap();
        }
        let checked_in = std::fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(checked_in, text, "UPDATE_SCHEMA=1 cargo test --lib config::schema writes it anew");
    }

    #[test]
    fn shapes_say_what_they_take() {
        let shape = |path: &[&str]| path.iter().fold(Shape::root(), |shape, key| shape.key(key).unwrap());
        for (path, description) in [
            (&["processing", "MAX_QUEUE_SIZE"][..], "a whole number from 1 to 1000"),
            (&["processing", "UNIFIED_PIPELINE_THREADS"], "a whole number from 1 to 4096"),
            (&["processing", "USE_UNIFIED_GPU_PIPELINE"], "true or false"),
            (&["processing", "PIPELINE_QUEUE_TIMEOUT_MS"], "a number from 0 to 1000"),
            (&["processing", "THREAD_PRIORITY"], "one of LOW, NORMAL, HIGH, REALTIME"),
            (&["models", "DETECTION"], "an object { … }"),
            (&["models", "DETECTION", "CONFIDENCE"], "a number from 0 to 1"),
            (&["models", "DETECTION", "LOOK_AT"], "one of frame, objects"),
            (&["models", "DETECTION", "REGIONS"], "a list of lists"),
            (&["models", "DETECTION", "MIN_SIZE"], "a list of numbers, 2 of them"),
            (&["cameras", "RTSP_STREAMS"], "a list of texts or objects"),
            (&["outputs", "JSON_LINES"], "text or a list of texts"),
        ] {
            assert_eq!(shape(path).description(), description, "{path:?}");
        }
        let regions = shape(&["models", "POSE", "REGIONS"]).forms()[0].items().unwrap();
        assert_eq!(regions.length(), Some(4));
        let confidence = shape(&["models", "POSE", "CLASS_CONFIDENCE"]).forms()[0].values().unwrap();
        assert_eq!(confidence.range(), (Some(0.0), Some(1.0)));
        let stream = shape(&["cameras", "RTSP_STREAMS"]).items().unwrap();
        assert_eq!(stream.forms()[1].key("GPU").unwrap().description(), "a whole number from 0 to 255 or text");
        assert_eq!(Shape::root().key("processing").unwrap().default_of("MAX_QUEUE_SIZE"), Some(&json!(20)));
    }

    #[test]
    fn every_key_has_a_path() {
        let named = |path: &[&str]| paths().iter().any(|known| known == path);
        assert!(named(&["processing", "MAX_QUEUE_SIZE"]) && named(&["models", "DETECTION", "ONNX"]));
        assert!(named(&["outputs", "MQTT", "URL"]) && named(&["monitoring", "LOG_LEVEL"]));
    }

    /// A variant's documentation, for example, makes an enumeration's schema another than a list of names, of which a message
    /// would say nothing.
    #[test]
    fn every_key_says_what_it_takes() {
        fn check(shape: Shape, path: &str) {
            assert!(!shape.description().is_empty(), "{path}");
            for form in shape.forms() {
                form.items().into_iter().for_each(|items| check(items, &format!("{path}.0")));
                for key in form.keys() {
                    form.key(key).into_iter().for_each(|inner| check(inner, &format!("{path}.{key}")));
                }
            }
        }
        check(Shape::root(), "");
    }
}
